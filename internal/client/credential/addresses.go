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

// An Address is an entry of the address book: the AWS configuration with which the
// tokens for a registry, or for the repositories of a domain, are requested. An
// empty field means the same as without an entry.
//
// An entry does not allow a token to be sent to the address. It only chooses the
// issuer, and the issuer decides (see the package's comment).
type Address struct {
	// Host is a host with its port if it has one. For repositories below a path it
	// includes the path: "127.0.0.1:4283/codeartifact/us-east-1/111122223333/acme".
	Host string
	AWS
	// Duration is how long CodeArtifact's tokens live; 0 is the service's default.
	Duration time.Duration
}

// Empty reports whether no field is set.
func (a Address) Empty() bool { return a.AWS == AWS{} && a.Duration == 0 }

// AddressOf is the name in the address book for the repository or the registry at an
// endpoint. For a repository below a path it is the domain's path, since one token
// opens all repositories of a domain; otherwise it is the host.
func AddressOf(endpoint *url.URL) string {
	host := authtoken.Host(endpoint.String())
	r, ok := authtoken.ParseRepositoryURL(endpoint.String())
	if !ok || !strings.HasPrefix(endpoint.Path, "/codeartifact/") {
		return host
	}
	return strings.Join([]string{host, "codeartifact", r.Region, r.Owner, r.Domain}, "/")
}

// Addresses is an address book: a TOML file that login writes and that people can
// read and edit. The name of a table is an address:
//
//	["images.example:5000"]
//	profile = "work"
//	region = "eu-central-1"
//	endpoint_url = "https://gate.example"
//	duration = "1h"
//
// Every key is optional. The entry with the longest path that is a prefix of the
// address counts.
type Addresses []Address

// maxAddresses is the largest size of the file, in bytes.
const maxAddresses = 1 << 20

// AddressVariable is the environment variable that names an address book.
const AddressVariable = "GATEHOUSE_ADDRESSES"

// AddressFile is the path of the address book: gatehouse/addresses.toml in the
// person's configuration folder, or the file that GATEHOUSE_ADDRESSES names.
// `gatehouse exec` sets that variable for its command.
func AddressFile(home, goos string, getenv func(string) string) string {
	if path := getenv(AddressVariable); filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(userdirs.Folders{Home: home, GOOS: goos, Getenv: getenv}.Config(), "gatehouse", "addresses.toml")
}

// ReadAddresses reads an address book. A missing file is an empty one. The error
// names the file and the line.
func ReadAddresses(path string) (Addresses, error) {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxAddresses {
		return nil, fmt.Errorf("%s is not a regular file of at most 1 MiB", path)
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

// ParseAddresses reads the text of an address book. The error names the line. An
// unknown key is an error, since it would have no effect.
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
			return nil, fmt.Errorf("line %d: [%q] is not an address: write a host in lower case, followed by the path for repositories below a path", lineOf(text, name), name)
		}
		book = append(book, Address{
			Host: name, AWS: AWS{Profile: t.Profile, Region: t.Region, EndpointURL: t.EndpointURL.text}, Duration: time.Duration(t.Duration),
		})
	}
	return book, nil
}

// lineError puts the line in front of the parser's message.
func lineError(err error) error {
	var unknown *toml.StrictMissingError
	if errors.As(err, &unknown) && len(unknown.Errors) > 0 {
		line, _ := unknown.Errors[0].Position()
		return fmt.Errorf("line %d: unknown key %s: an address has profile, region, endpoint_url and duration",
			line, strings.Join(unknown.Errors[0].Key(), "."))
	}
	var wrong *toml.DecodeError
	if errors.As(err, &wrong) {
		line, _ := wrong.Position()
		return fmt.Errorf("line %d: %s", line, strings.TrimPrefix(wrong.Error(), "toml: "))
	}
	return err
}

// lineOf finds the line of a table's name.
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

// endpointURL is a struct because the decoder does not call UnmarshalText of string
// types.
type endpointURL struct{ text string }

// UnmarshalText refuses what is not an http or https address.
func (e *endpointURL) UnmarshalText(text []byte) error {
	u, err := url.Parse(string(text))
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return fmt.Errorf("endpoint_url %q is not an http or https address", text)
	}
	e.text = string(text)
	return nil
}

// Find returns the entry for the address of a registry, a repository or anything
// below it; the empty entry if there is none. If two entries match the same path, as
// those for localhost and for 127.0.0.1 do, the one with the address's own host name
// counts.
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

// SetAddress returns the text of an address book with an entry added, or replaced if
// it has one for the address. The error says what is wrong with the text, and
// names the line.
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
		text = []byte("\n") // so that the result ends with a line end
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
		return nil, fmt.Errorf("the address %q cannot be recorded: %w", a.Host, err)
	}
	if created {
		text = bytes.TrimLeft(text, "\n")
	}
	return text, nil
}

// formatDuration writes a duration as people do.
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
// address. The error says what is wrong with the text, and names the line.
func RemoveAddress(text []byte, host string) ([]byte, error) {
	var err error
	for _, key := range []string{"profile", "region", "endpoint_url", "duration"} {
		if text, err = tomledit.Delete(text, []string{host, key}); err != nil {
			return nil, err
		}
	}
	return text, nil
}
