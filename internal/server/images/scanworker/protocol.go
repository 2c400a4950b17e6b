package scanworker

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"github.com/gatehouse-registry/gatehouse/internal/server/images/inventory"
)

// Command is the argument with which a program is started as a worker.
const Command = "__scan-worker"

// A frame announces a layer.
type frame struct {
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
}

// maxFrame is the size of the longest line, in bytes.
const maxFrame = 1 << 10

// An answer is what the worker found, or why it could not read the image.
type answer struct {
	Inventory *inventory.Inventory `json:"inventory,omitempty"`
	Problem   string               `json:"problem,omitempty"`
}

// memory is how much memory Go's runtime tries not to exceed. Beyond maxData, the system
// refuses the process more.
const (
	memory  = 384 << 20
	maxData = 1 << 30
)

// Main is the worker: it reads frames from in and writes an answer to out. It returns the
// exit code of the process.
func Main(in io.Reader, out io.Writer) int {
	debug.SetMemoryLimit(memory)
	if err := enterSandbox(); err != nil {
		fmt.Fprintln(os.Stderr, "cannot give up rights:", err)
		return 1
	}
	found, err := readFrames(in)
	a := answer{Inventory: found}
	if err != nil {
		a = answer{Problem: err.Error()}
	}
	if err := json.NewEncoder(out).Encode(a); err != nil {
		return 1
	}
	return 0
}

func readFrames(in io.Reader) (*inventory.Inventory, error) {
	frames := bufio.NewReaderSize(in, 64<<10)
	r := inventory.NewReader(inventory.DefaultLimits)
	for {
		line, err := readLine(frames)
		if errors.Is(err, io.EOF) {
			return r.Inventory(), nil
		}
		if err != nil {
			return nil, err
		}
		var f frame
		if err := json.Unmarshal(line, &f); err != nil {
			return nil, err
		}
		layer := &io.LimitedReader{R: frames, N: f.Size}
		if err := r.Layer(f.Digest, layer); err != nil {
			return nil, err
		}
		if _, err := io.Copy(io.Discard, layer); err != nil { // what follows the archive
			return nil, err
		}
		if layer.N > 0 {
			return nil, io.ErrUnexpectedEOF
		}
	}
}

func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if err == nil && len(line) > maxFrame {
		err = errors.New("a frame is too long")
	}
	if errors.Is(err, io.EOF) && len(line) > 0 {
		err = io.ErrUnexpectedEOF
	}
	return line, err
}
