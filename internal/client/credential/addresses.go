package credential

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	toml "github.com/pelletier/go-toml/v2"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/tomledit"
	"github.com/gatehouse-registry/gatehouse/internal/client/userdirs"
)

// An Address is what the address book says about the registry or the
// repositories at an address: with which AWS configuration their tokens are got.
// What it leaves empty is as for any other address.
//
// It does not say that a token may be sent there. That stays the issuer's to say
// (see the package's comment): the entry only chooses the issuer.
type Address struct {
	// Host is a host with its port if it has one, and for repositories below a path
	// with that path: "127.0.0.1:4283/codeartifact/us-east-1/111122223333/acme".
	Host string
	AWS
	// Duration is how long CodeArtifact's tokens live; 0 is the service's default.
	Duration time.Duration
}

// Empty reports whether the entry says nothing.
func (a Address) Empty() bool { return a.AWS == AWS{} && a.Duration == 0 }

// AddressOf is what the address book calls the repository or the registry at an
// endpoint: a CodeArtifact domain, whose token opens all of its repositories, or
// a host.
func AddressOf(endpoint *url.URL) string {
	host := authtoken.Host(endpoint.String())
	r, ok := authtoken.ParseRepositoryURL(endpoint.String())
	if !ok || !strings.HasPrefix(endpoint.Path, "/codeartifact/") {
		return host
	}
	return strings.Join([]string{host, "codeartifact", r.Region, r.Owner, r.Domain}, "/")
}

// Addresses is an address book: a TOML file that login writes and that a person
// can read and edit. A table is named by the address:
//
//	["images.example:5000"]
//	profile = "work"
//	region = "eu-central-1"
//	endpoint_url = "https://gate.example"
//	duration = "1h"
//
// Every key may be left out. The entry with the longest path that the address
// begins with is the one that counts.
type Addresses []Address

// maxAddresses bounds the file, in bytes.
const maxAddresses = 1 << 20

// AddressVariable is the environment variable that names an address book.
const AddressVariable = "GATEHOUSE_ADDRESSES"

// AddressFile is where the address book is: gatehouse/addresses.toml in the
// person's folder of configuration, or the file that GATEHOUSE_ADDRESSES names,
// as `gatehouse exec` does for what it runs.
func AddressFile(home, goos string, getenv func(string) string) string {
	if path := getenv(AddressVariable); filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(userdirs.Folders{Home: home, GOOS: goos, Getenv: getenv}.Config(), "gatehouse", "addresses.toml")
}

// ReadAddresses reads an address book. A file that is not there is an empty one.
// The error names the file and the line.
func ReadAddresses(path string) (Addresses, error) {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxAddresses {
		return nil, fmt.Errorf("%s is no regular file of at most 1 MiB", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	book, err := ParseAddresses(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return book, nil
}

// ParseAddresses reads the text of an address book. The error says what is wrong
// in which line; a key that means nothing is one, since it was meant to mean
// something.
func ParseAddresses(text []byte) (Addresses, error) {
	var tables map[string]struct {
		Profile     string      `toml:"profile"`
		Region      string      `toml:"region"`
		EndpointURL endpointURL `toml:"endpoint_url"`
		Duration    Lifetime    `toml:"duration"`
	}
	d := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields()
	if err := d.Decode(&tables); err != nil {
		return nil, lineError(err)
	}
	book := make(Addresses, 0, len(tables))
	for name, t := range tables {
		host, _, _ := strings.Cut(name, "/")
		if host == "" || authtoken.Host(name) != host {
			return nil, fmt.Errorf("line %d: [%q] is not named by an address: a host in lower case, and for repositories below a path that path", lineOf(text, name), name)
		}
		book = append(book, Address{
			Host: name, AWS: AWS{Profile: t.Profile, Region: t.Region, EndpointURL: t.EndpointURL.text}, Duration: time.Duration(t.Duration),
		})
	}
	return book, nil
}

// lineError puts the line in front of what the parser says.
func lineError(err error) error {
	var unknown *toml.StrictMissingError
	if errors.As(err, &unknown) && len(unknown.Errors) > 0 {
		line, _ := unknown.Errors[0].Position()
		return fmt.Errorf("line %d: %s is unknown: an address has profile, region, endpoint_url and duration",
			line, strings.Join(unknown.Errors[0].Key(), "."))
	}
	var wrong *toml.DecodeError
	if errors.As(err, &wrong) {
		line, _ := wrong.Position()
		return fmt.Errorf("line %d: %s", line, strings.TrimPrefix(wrong.Error(), "toml: "))
	}
	return err
}

// lineOf finds the line that names a table.
func lineOf(text []byte, name string) int {
	n := 0
	for line := range bytes.Lines(text) {
		n++
		if bytes.Contains(line, []byte(name)) {
			return n
		}
	}
	return 1
}

// endpointURL is a struct, since the decoder asks no string type for UnmarshalText.
type endpointURL struct{ text string }

// UnmarshalText refuses what is not the address of an endpoint.
func (e *endpointURL) UnmarshalText(text []byte) error {
	u, err := url.Parse(string(text))
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return fmt.Errorf("endpoint_url %q is not an http or https address", text)
	}
	e.text = string(text)
	return nil
}

// Find returns the entry for the address of a registry, a repository or anything
// in it; the empty one where there is none. Of two for the same path, as for
// localhost and for 127.0.0.1, it is the one with the address's own name.
func (b Addresses) Find(address string) Address {
	var found Address
	best := 0
	name, _ := splitHost(address)
	_, path, _ := strings.Cut(address, "/")
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		path = strings.TrimPrefix(u.Path, "/")
	}
	path += "/"
	for _, a := range b {
		host, below, _ := strings.Cut(a.Host, "/")
		if below != "" {
			below = strings.Trim(below, "/") + "/"
		}
		if !sameHost(host, address) || !strings.HasPrefix(path, below) {
			continue
		}
		fit := 1 + 2*len(below)
		if own, _ := splitHost(host); own == name {
			fit++
		}
		if fit > best {
			found, best = a, fit
		}
	}
	return found
}

// SetAddress returns the text of an address book with an entry, in place of the
// one that it may have for the address. The error says what is wrong with the
// text, with the line.
func SetAddress(text []byte, a Address) ([]byte, error) {
	if _, err := ParseAddresses(text); err != nil {
		return nil, err
	}
	duration := ""
	if a.Duration != 0 {
		duration = formatDuration(a.Duration)
	}
	created := len(text) == 0
	if created {
		text = []byte("\n") // whose last line is ended, as that of the result is
	}
	for _, v := range [][2]string{{"profile", a.Profile}, {"region", a.Region}, {"endpoint_url", a.EndpointURL}, {"duration", duration}} {
		var err error
		path := []string{a.Host, v[0]}
		if v[1] == "" {
			text, err = tomledit.Delete(text, path)
		} else {
			text, err = tomledit.Set(text, path, v[1])
		}
		if err != nil {
			return nil, err
		}
	}
	if _, err := ParseAddresses(text); err != nil {
		return nil, fmt.Errorf("the address %q cannot be remembered: %w", a.Host, err)
	}
	if created {
		text = bytes.TrimLeft(text, "\n")
	}
	return text, nil
}

// short is a duration as a person writes it.
func formatDuration(d time.Duration) string {
	text := d.String()
	if rest, ok := strings.CutSuffix(text, "m0s"); ok {
		text = rest + "m"
	}
	if rest, ok := strings.CutSuffix(text, "h0m"); ok {
		text = rest + "h"
	}
	return text
}

// RemoveAddress returns the text of an address book without the entry for an
// address. The error says what is wrong with the text, with the line.
func RemoveAddress(text []byte, host string) ([]byte, error) {
	var err error
	for _, key := range []string{"profile", "region", "endpoint_url", "duration"} {
		if text, err = tomledit.Delete(text, []string{host, key}); err != nil {
			return nil, err
		}
	}
	return text, nil
}
