package main

import (
	"fmt"

	"github.com/urfave/cli/v2"
)

func (p *program) man() *cli.Command {
	return &cli.Command{
		Name:        "man",
		Usage:       "print the manual page",
		Description: "dovemend man > dovemend.1 && man ./dovemend.1",
		Action: p.verb("man", func(k *call) error {
			page, err := k.App.ToManWithSection(1)
			if err != nil {
				return fmt.Errorf("make manual page: %w", err)
			}
			_, err = fmt.Fprint(p.stdout, page)
			return err
		}),
	}
}
