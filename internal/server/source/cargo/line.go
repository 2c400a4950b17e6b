package cargo

import (
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats/cargo/stored"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
)

// A line is a line of the index.
type line struct {
	name, vers string
	checksum   string
	yanked     bool
	published  time.Time
	// rest is the line without cksum and yanked.
	rest []byte
}

var errNoObject = errors.New("an object is expected")

// parseLine reads a line of the index. Members keep their order and their bytes.
func parseLine(text string) (*line, error) {
	dec := jsontext.NewDecoder(strings.NewReader(text))
	if t, err := dec.ReadToken(); err != nil {
		return nil, err
	} else if t.Kind() != '{' {
		return nil, errNoObject
	}
	l := &line{rest: []byte("{")}
	for dec.PeekKind() != '}' {
		name, err := dec.ReadToken()
		if err != nil {
			return nil, err
		}
		member := name.String()
		value, err := dec.ReadValue()
		if err != nil {
			return nil, err
		}
		if err := l.add(member, value); err != nil {
			return nil, err
		}
	}
	if _, err := dec.ReadToken(); err != nil {
		return nil, err
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the object")
	}
	l.rest = append(l.rest, '}')
	return l, nil
}

func (l *line) add(member string, value jsontext.Value) error {
	switch member {
	case "name":
		l.name = text(value)
	case "vers":
		l.vers = text(value)
	case "cksum":
		l.checksum = text(value)
		return nil
	case "yanked":
		l.yanked = value.Kind() == 't'
		return nil
	case "pubtime":
		l.published = source.ParseTime(text(value))
	}
	if len(l.rest) > 1 {
		l.rest = append(l.rest, ',')
	}
	var err error
	if l.rest, err = jsontext.AppendQuote(l.rest, member); err != nil {
		return err
	}
	l.rest = append(append(l.rest, ':'), value...)
	return nil
}

// text is a JSON string, or "" for another value.
func text(value jsontext.Value) string {
	if value.Kind() != '"' {
		return ""
	}
	s, err := jsontext.AppendUnquote(nil, value)
	if err != nil {
		return ""
	}
	return string(s)
}

// version makes a version of the line; ok is false if cargo could not use it.
func (l *line) version(c config) (v packages.RemoteVersion, ok bool, err error) {
	sum, err := hex.DecodeString(l.checksum)
	if err != nil || len(sum) != 32 || !stored.ValidName(l.name) || !stored.ValidVersion(l.vers) {
		return v, false, nil
	}
	v = packages.RemoteVersion{Version: l.vers, Status: packages.Published, Published: l.published}
	if l.yanked {
		v.Status = packages.Unlisted
	}
	if v.Metadata, err = (stored.Version{Index: l.rest, HasTime: true}).Encode(); err != nil {
		return v, false, err
	}
	v.Assets = []packages.RemoteAsset{{
		Name: stored.AssetName(l.name, l.vers), URL: c.address(l.name, l.vers, hex.EncodeToString(sum)), SHA256: hex.EncodeToString(sum),
	}}
	return v, true, nil
}
