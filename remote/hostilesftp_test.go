//go:build !windows

package remote

import (
	"encoding/binary"
	"io"
	"slices"
)

// rawSFTP serves SFTP by hand: answer gives the packets (type and body after the id) for each request. INIT, and REALPATH of ".",
// which every connection begins with, are answered as usual.
func rawSFTP(ch io.ReadWriter, answer func(kind byte, id uint32, body []byte) [][]byte) {
	for {
		var head [4]byte
		if _, err := io.ReadFull(ch, head[:]); err != nil {
			return
		}
		p := make([]byte, binary.BigEndian.Uint32(head[:]))
		if _, err := io.ReadFull(ch, p); err != nil || len(p) < 5 {
			return
		}
		if p[0] == 1 { // INIT
			send(ch, slices.Concat([]byte{2, 0, 0, 0, 3}, str("fsync@openssh.com"), str("1")))
			continue
		}
		id := binary.BigEndian.Uint32(p[1:])
		if p[0] == 16 && string(p[5:]) == string(str(".")) {
			send(ch, names(id, "/home/alice"))
			continue
		}
		for _, a := range answer(p[0], id, p[5:]) {
			send(ch, a)
		}
	}
}

// slowSFTP answers nothing but the beginning until stuck is closed.
func slowSFTP(ch io.ReadWriter, stuck <-chan struct{}) {
	rawSFTP(ch, func(byte, uint32, []byte) [][]byte {
		<-stuck
		return nil
	})
}

func send(w io.Writer, p []byte) {
	w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(p))), p...))
}

func str(s string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(s))), s...)
}

func reply(kind byte, id uint32, body ...[]byte) []byte {
	p := binary.BigEndian.AppendUint32([]byte{kind}, id)
	for _, b := range body {
		p = append(p, b...)
	}
	return p
}

// names is an SSH_FXP_NAME packet of regular files.
func names(id uint32, list ...string) []byte {
	p := reply(104, id, binary.BigEndian.AppendUint32(nil, uint32(len(list))))
	for _, n := range list {
		p = append(p, str(n)...)
		p = append(p, str("-rw-r--r-- "+n)...)
		p = append(p, attrs(0o100644, 1)...)
	}
	return p
}

// attrs has size and permissions.
func attrs(mode uint32, size uint64) []byte {
	p := binary.BigEndian.AppendUint32(nil, 1|4)
	p = binary.BigEndian.AppendUint64(p, size)
	return binary.BigEndian.AppendUint32(p, mode)
}

func status(id, code uint32, text string) []byte {
	return reply(101, id, binary.BigEndian.AppendUint32(nil, code), str(text), str(""))
}
