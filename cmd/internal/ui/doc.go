// Package ui is the terminal of dovemend: prompts, progress, tables, and plans and findings in words. It decides
// nothing and knows no host; what it shows it is handed as plain data.
//
// The rules of everything it says:
//
//   - Calm, plain words. No capitals for emphasis, no exclamation marks, no jargon that is not in the glossary.
//   - Results go to standard output; progress, warnings and questions go to standard error or the terminal itself, so
//     that a redirected or --json output holds results only.
//   - A question says what each answer leads to. The answer that changes nothing is always the preset one, and wherever
//     something can be lost the mailbox's name has to be typed.
//   - What will be done is shown before the question: which paths, at what cost, what is kept, how to take it back.
//   - Colour and position never carry meaning alone. Everything can be read in 80 columns, without colour, and by a
//     screen reader (accessible mode: plain lines, one question after the other, nothing redrawn).
//   - A question that nobody can answer is an error that names the flag which would have answered it.
//   - Nothing that comes from the host is printed before [Safe] has passed it: no control characters, no direction
//     marks, bounded length.
package ui
