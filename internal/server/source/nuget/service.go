package nuget

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
)

// serviceTime is how long a service index is used. NuGet's clients keep it for 40 minutes,
// so addresses stay valid for longer than that.
const serviceTime = time.Hour

// A service is what a service index says. The addresses of folders end with a slash.
type service struct {
	registrations    string // a folder
	flat             string // a folder with the packages themselves; may be empty
	search, complete string // may be empty
	read             time.Time
}

// registrationTypes are the types of registrations, best first: those from 3.6.0 on have
// the versions that need Semantic Versioning 2.0.0, and no others have.
var registrationTypes = []string{
	"RegistrationsBaseUrl/3.6.0", "RegistrationsBaseUrl/Versioned", "RegistrationsBaseUrl/3.4.0",
	"RegistrationsBaseUrl/3.0.0-rc", "RegistrationsBaseUrl/3.0.0-beta", "RegistrationsBaseUrl",
}

var (
	flatTypes     = []string{"PackageBaseAddress/3.0.0", "PackageBaseAddress/Versioned"}
	searchTypes   = searchVersions("SearchQueryService")
	completeTypes = searchVersions("SearchAutocompleteService")
)

// searchVersions are the types of a search, best first: 3.5.0 knows types of packages.
func searchVersions(name string) []string {
	return []string{name + "/3.5.0", name + "/Versioned", name + "/3.4.0", name + "/3.0.0-rc", name + "/3.0.0-beta", name}
}

// service returns the service index of a registry. If it cannot be read, an older one is
// used: its addresses work, or the registration fails too.
func (c *Codec) service(ctx context.Context, r *source.Registry) (*service, error) {
	c.mu.Lock()
	have := c.services[r.Connection]
	c.mu.Unlock()
	if have != nil && c.now().Sub(have.read).Abs() < serviceTime {
		return have, nil
	}
	// Requests of one package share their question already; those of several share this one.
	v, err, _ := c.asking.Do(r.Connection, func() (any, error) {
		next, err := readService(ctx, r)
		if err != nil {
			return nil, err
		}
		next.read = c.now()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.services[r.Connection] = next
		return next, nil
	})
	switch {
	case err == nil:
		return v.(*service), nil
	case have != nil:
		return have, nil
	}
	return nil, err
}

func readService(ctx context.Context, r *source.Registry) (*service, error) {
	var index struct {
		Resources []struct {
			ID   string          `json:"@id"`
			Type json.RawMessage `json:"@type"`
		} `json:"resources"`
	}
	from, _, err := getJSON(ctx, r, "index.json", source.Validators{}, &index)
	if errors.Is(err, packages.ErrNoRemotePackage) {
		return nil, &source.BadAnswer{What: "it has no service index (index.json) below its address"}
	}
	if err != nil {
		return nil, err
	}
	byType := map[string]string{}
	for _, resource := range index.Resources {
		var types textList
		if err := json.Unmarshal(resource.Type, &types); err != nil {
			continue
		}
		address := resolve(from, resource.ID)
		for _, t := range types {
			if address != "" && byType[t] == "" {
				byType[t] = address
			}
		}
	}
	s := &service{
		registrations: folder(first(byType, registrationTypes)), flat: folder(first(byType, flatTypes)),
		search: first(byType, searchTypes), complete: first(byType, completeTypes),
	}
	if s.registrations == "" {
		return nil, &source.BadAnswer{What: "its service index names no registrations (RegistrationsBaseUrl)"}
	}
	return s, nil
}

func first(byType map[string]string, types []string) string {
	for _, t := range types {
		if address := byType[t]; address != "" {
			return address
		}
	}
	return ""
}

// folder returns the address of a folder with the slash at its end, or "".
func folder(address string) string {
	if address == "" {
		return ""
	}
	return strings.TrimSuffix(address, "/") + "/"
}

// resolve returns the absolute address of a reference in a document, or "" if it is none.
func resolve(from, reference string) string {
	base, err := url.Parse(from)
	if err != nil {
		return ""
	}
	u, err := base.Parse(reference)
	if err != nil || reference == "" || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	u.Fragment = ""
	return u.String()
}

// getJSON reads a document into v. It returns its address and its validators.
func getJSON(ctx context.Context, r *source.Registry, address string, known source.Validators, v any) (from string, now source.Validators, err error) {
	answer, err := r.Get(ctx, address, "application/json", mediaTypes, known)
	if err != nil {
		return "", now, err
	}
	defer answer.Body.Close()
	body := &source.FailingReader{R: answer.Body}
	// All of it is read: before the end, the sum of a compressed answer is not checked.
	text, err := io.ReadAll(body)
	if err != nil {
		return "", now, source.ReadError(err, body, "it cannot be read")
	}
	if err := json.Unmarshal(text, v); err != nil {
		return "", now, &source.BadAnswer{What: "it is not a document of NuGet's API", Err: err}
	}
	return answer.URL, source.ValidatorsOf(answer), nil
}
