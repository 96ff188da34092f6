package inspect

// A Fact is one thing a file tells, under the name it has in the output.
type Fact struct {
	Name  string
	Value any
	Extra bool // left out of the text, where another fact says the same in a way that people can read
}

// Facts are an object whose members depend on what is described: the data of one extension, the content of one record.
type Facts []Fact

// The kinds of value that are written in a way of their own. A plain string comes from a file, and is quoted.
type (
	// Word is of our own making: a name of a kind, a rule, a sentence. What came from a file is quoted in it.
	Word string
	// Stamp is a Unix time in seconds. In JSON it is the number, in text the date in UTC follows.
	Stamp uint32
	// Bits is a number whose bits count. In text it is hexadecimal.
	Bits uint32
	// Hex is bytes; long ones are cut in text and whole in JSON.
	Hex []byte
	// Maybe is a number that may be unknown: -1 is null in JSON and nothing in text.
	Maybe int64
	// Moment is a Unix time in seconds that may be unknown, as Maybe. In text the date in UTC follows.
	Moment int64
)
