package credential

import (
	"errors"
	"io"
)

// maxInput is the largest request of a client, in bytes.
const maxInput = 1 << 20

// ReadInput reads a client's request to its end.
func ReadInput(in io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxInput+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxInput {
		return nil, errors.New("the request is larger than 1 MiB")
	}
	return text, nil
}
