package inventory

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime/debug"
	"strings"
)

// minExecutable is the size of the smallest program that is looked at. The smallest ones
// that Go writes are larger.
const minExecutable = 64 << 10

// maxExecutable is how much of a program is looked at. A file of zeros can have any size.
const maxExecutable = 2 << 30

// maxBuildInfo is the size of the largest list of modules that is read.
const maxBuildInfo = 4 << 20

// buildInfoMagic begins what Go's linker writes into a program: the magic, the size of a
// pointer, and flags, of which 2 says that two strings follow, each after its length: the
// version of Go and the modules (package debug/buildinfo, as Go 1.18 and later write it).
var buildInfoMagic = []byte("\xff Go buildinf:")

const (
	buildInfoAlign  = 16
	buildInfoHeader = 32
	flagInline      = 2
)

// parseExecutable finds the modules of a Go program. It looks for the magic in the stream of
// the file and so keeps nothing of it, however large it is.
func parseExecutable(f *file) error {
	r := bufio.NewReaderSize(io.LimitReader(f.content, maxExecutable), 256<<10)
	magic, err := r.Peek(4)
	if err != nil || !isExecutable(magic) {
		return nil // a script, or too short for a program
	}
	for position := 0; ; {
		window, err := r.Peek(r.Size())
		at := bytes.Index(window, buildInfoMagic)
		switch {
		case at >= 0:
			skip(r, at)
			position += at
			if position%buildInfoAlign == 0 && f.buildInfo(r) {
				return nil
			}
			// The magic is a constant in programs that read it. buildInfo has read
			// nothing then.
			skip(r, 1)
			position++
		case err != nil:
			if !errors.Is(err, io.EOF) {
				return err
			}
			return nil
		default:
			n := len(window) - len(buildInfoMagic) + 1
			skip(r, n)
			position += n
		}
	}
}

func skip(r *bufio.Reader, n int) { _, _ = r.Discard(n) } // it was peeked at

// isExecutable reports whether a file is a program in the format of Linux, macOS or Windows.
func isExecutable(magic []byte) bool {
	return string(magic) == "\x7fELF" || magic[0] == 'M' && magic[1] == 'Z' ||
		string(magic) == "\xcf\xfa\xed\xfe" || string(magic) == "\xce\xfa\xed\xfe"
}

// buildInfo reads what follows the magic. It reports whether it was that of a linker; if
// not, it has read nothing.
func (f *file) buildInfo(r *bufio.Reader) bool {
	window, _ := r.Peek(r.Size())
	if len(window) < buildInfoHeader || window[15]&flagInline == 0 {
		return false
	}
	rest := window[buildInfoHeader:]
	n, size := binary.Uvarint(rest)
	if size <= 0 || n > 200 || uint64(len(rest)) < uint64(size)+n {
		return false
	}
	version := string(rest[size : size+int(n)])
	if !strings.HasPrefix(version, "go") && !strings.HasPrefix(version, "devel") {
		return false
	}
	rest = rest[size+int(n):]
	length, width := binary.Uvarint(rest)
	if width <= 0 || length > maxBuildInfo {
		return false
	}
	skip(r, len(window)-len(rest)+width)
	modules := make([]byte, length)
	if _, err := io.ReadFull(r, modules); err != nil {
		return true
	}
	f.modules(version, modules)
	return true
}

// modules notes Go's standard library and the modules of a program.
func (f *file) modules(version string, text []byte) {
	version, _, _ = strings.Cut(version, " ") // without the names of experiments
	if v, ok := strings.CutPrefix(version, "go"); ok {
		f.language(Go, "stdlib", v)
	}
	if len(text) < 33 || text[len(text)-17] != '\n' {
		return
	}
	info, err := debug.ParseBuildInfo(string(text[16 : len(text)-16])) // between two marks
	if err != nil {
		return
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Replace != nil {
			m = m.Replace
		}
		if v, ok := strings.CutPrefix(m.Version, "v"); ok { // not (devel)
			f.language(Go, m.Path, v)
		}
	}
}
