package fill

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// client speaks just enough IMAP to fill a mailbox and to read it back. It is made for a Dovecot on loopback and is not
// the client that dovemend repairs with, so that the two check each other.
type client struct {
	conn net.Conn
	r    *bufio.Reader
	tag  int
	sep  string
}

// maxAnswer bounds one line with its literals, in bytes.
const maxAnswer = 64 << 20

func login(ctx context.Context, t Target) (*client, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", t.Addr)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	if err := conn.SetDeadline(time.Now().Add(5 * time.Minute)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	c := &client{conn: conn, r: bufio.NewReader(conn)}
	if err := c.open(t); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return c, nil
}

func (c *client) open(t Target) error {
	for {
		line, err := c.line()
		if err != nil {
			return fmt.Errorf("greeting: %w", err)
		}
		if strings.HasPrefix(line, "* OK [CAPABILITY") { // "Waiting for authentication process" may come before
			break
		}
	}
	if _, err := c.do("LOGIN %s %s", quoted(t.User), quoted(t.Password)); err != nil {
		return err
	}
	list, err := c.do(`LIST "" ""`)
	if err != nil {
		return err
	}
	for _, l := range list { // * LIST (\Noselect) "/" ""
		if f := parse(l); len(f) >= 4 && f[1].text == "LIST" {
			c.sep = f[3].text
		}
	}
	if c.sep == "" {
		return fmt.Errorf("no hierarchy separator in %q", list)
	}
	return nil
}

func (c *client) close() error { return c.conn.Close() }

// line reads an answer with its literals in place.
func (c *client) line() (string, error) {
	var all strings.Builder
	for {
		part, err := c.r.ReadString('\n')
		if err != nil {
			return "", err
		}
		all.WriteString(part)
		n, ok := literal(part)
		if !ok {
			return strings.TrimSuffix(all.String(), "\r\n"), nil
		}
		if n > maxAnswer {
			return "", fmt.Errorf("literal of %d bytes is too long", n)
		}
		if _, err := io.CopyN(&all, c.r, n); err != nil {
			return "", err
		}
	}
}

// literal says how many bytes follow a line that ends in {n}.
func literal(line string) (int64, bool) {
	line, ok := strings.CutSuffix(line, "}\r\n")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(line[strings.LastIndexByte(line, '{')+1:], 10, 64)
	return n, err == nil && n >= 0
}

// do sends a command and gives its untagged answers.
func (c *client) do(format string, args ...any) ([]string, error) {
	var all []string
	err := c.each(func(l string) error { all = append(all, l); return nil }, format, args...)
	return all, err
}

// each sends a command and hands over its untagged answers as they come.
func (c *client) each(yield func(string) error, format string, args ...any) error {
	c.tag++
	tag := fmt.Sprintf("a%d ", c.tag)
	command := fmt.Sprintf(format, args...)
	if _, err := io.WriteString(c.conn, tag+command+"\r\n"); err != nil {
		return err
	}
	short, _, _ := strings.Cut(command, "\r\n")
	if strings.HasPrefix(short, "LOGIN ") {
		short = "LOGIN"
	}
	for {
		l, err := c.line()
		if err != nil {
			return fmt.Errorf("%s: %w", short, err)
		}
		switch {
		case strings.HasPrefix(l, tag+"OK"):
			return nil
		case strings.HasPrefix(l, tag), strings.HasPrefix(l, "* BYE"):
			return fmt.Errorf("%s: %s", short, l)
		}
		if err := yield(l); err != nil {
			return fmt.Errorf("%s: %w", short, err)
		}
	}
}

// all sends commands without waiting for the answer to one before it sends the next; the first that fails is told.
func (c *client) all(commands []string) error {
	written := make(chan error, 1)
	first := c.tag + 1
	go func() {
		w := bufio.NewWriterSize(c.conn, 64<<10)
		for i, command := range commands {
			if _, err := fmt.Fprintf(w, "a%d %s\r\n", first+i, command); err != nil {
				written <- err
				return
			}
		}
		written <- w.Flush()
	}()
	c.tag += len(commands)
	for i, command := range commands {
		tag := fmt.Sprintf("a%d ", first+i)
		for {
			l, err := c.line()
			if err == nil && (strings.HasPrefix(l, "* BYE") || strings.HasPrefix(l, tag) && !strings.HasPrefix(l, tag+"OK")) {
				err = errors.New(l)
			}
			if err != nil {
				short, _, _ := strings.Cut(command, "\r\n")
				return errors.Join(fmt.Errorf("%s: %w", short, err), c.conn.Close(), <-written)
			}
			if strings.HasPrefix(l, tag) {
				break
			}
		}
	}
	return <-written
}

func quoted(s string) string {
	return `"` + strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), `"`, `\"`) + `"`
}

// token is one word, string or list of an answer.
type token struct {
	text string
	list []token
}

// parse takes an answer apart. What it cannot read ends it.
func parse(s string) []token {
	tokens, _ := parseUntil(s, false)
	return tokens
}

func parseUntil(s string, inList bool) (tokens []token, rest string) {
	for s != "" {
		switch c := s[0]; {
		case c == ' ':
			s = s[1:]
		case c == ')' && inList:
			return tokens, s[1:]
		case c == '(':
			var t token
			t.list, s = parseUntil(s[1:], true)
			tokens = append(tokens, t)
		case c == '"':
			var b strings.Builder
			i := 1
			for ; i < len(s) && s[i] != '"'; i++ {
				if s[i] == '\\' && i+1 < len(s) {
					i++
				}
				b.WriteByte(s[i])
			}
			tokens, s = append(tokens, token{text: b.String()}), s[min(i+1, len(s)):]
		case c == '{':
			head, body, ok := strings.Cut(s[1:], "}\r\n")
			n, err := strconv.Atoi(head)
			if !ok || err != nil || n < 0 || n > len(body) {
				return tokens, ""
			}
			tokens, s = append(tokens, token{text: body[:n]}), body[n:]
		default:
			end := strings.IndexAny(s[1:], " ()")
			if end < 0 {
				end = len(s) - 1
			}
			tokens, s = append(tokens, token{text: s[:end+1]}), s[end+1:]
		}
	}
	return tokens, ""
}
