// Package pagetoken makes the tokens with which clients ask for the next page of
// a list: nextToken in the JSON protocols, Marker in IAM.
//
// A token holds a cursor: a few texts that name the last entry that the client
// got. It is neither secret nor signed. A client that makes one up gets no more
// than one that asks for each page in turn, since every page is authorized.
//
// A token also holds its [Scope]: the operation and those of its parameters that
// choose the list. A token of another scope is refused, because it would silently
// leave out a part of the list.
package pagetoken

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
)

// ErrInvalid means that a token was not made for this scope. Each API turns it
// into its own exception.
var ErrInvalid = errors.New("pagetoken: not a token of this list")

// A Scope says which list a token belongs to.
type Scope [8]byte

// NewScope returns the scope of an operation and of the parameters that choose
// its list, for example a repository and a filter. The size of the page is not
// one of them: clients may change it from page to page.
func NewScope(operation string, parameters ...string) (s Scope) {
	sum := sha256.Sum256(appendTexts(appendTexts(nil, operation), parameters...))
	copy(s[:], sum[:])
	return s
}

// Token returns the token of the page after cursor.
func (s Scope) Token(cursor ...string) string {
	return base64.RawURLEncoding.EncodeToString(appendTexts(s[:], cursor...))
}

// Next returns the token of the page after cursor, in the form of an optional
// member of an answer: nil if there is no further page.
func (s Scope) Next(more bool, cursor ...string) *string {
	if !more {
		return nil
	}
	return new(s.Token(cursor...))
}

// Cursor returns the n texts of the cursor in a token. They are empty if there is
// no token, which means the first page. The error is [ErrInvalid].
func (s Scope) Cursor(token *string, n int) ([]string, error) {
	cursor := make([]string, n)
	if token == nil {
		return cursor, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(*token)
	if err != nil || len(raw) < len(s) || Scope(raw[:len(s)]) != s {
		return nil, ErrInvalid
	}
	raw = raw[len(s):]
	for i := range cursor {
		length, read := binary.Uvarint(raw)
		if read <= 0 || length > uint64(len(raw)-read) {
			return nil, ErrInvalid
		}
		raw = raw[read:]
		cursor[i], raw = string(raw[:length]), raw[length:]
	}
	if len(raw) > 0 {
		return nil, ErrInvalid
	}
	return cursor, nil
}

// appendTexts appends each text with its length before it, so that different
// lists of texts never give the same bytes.
func appendTexts(b []byte, texts ...string) []byte {
	for _, text := range texts {
		b = binary.AppendUvarint(b, uint64(len(text)))
		b = append(b, text...)
	}
	return b
}
