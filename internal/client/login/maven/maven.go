// Package maven logs in Apache Maven, by the person's settings.xml (Maven
// Settings Reference; Guide to Mirror Settings).
//
// Everything that belongs to a login has the login's name as its id:
//
//   - a server with the user name aws and the token, or a reference to an
//     environment variable, for pom.xml's distributionManagement and
//     -DaltDeploymentRepository;
//   - a profile that is always active, with the repository for packages and for
//     plug-ins;
//   - if the repository replaces all others, a mirror of external:*, which means
//     every repository except those on this machine. It comes first, since Maven
//     takes the first mirror that matches.
//
// Maven cannot ask a helper. Its own settings have a mirror of external:http:*
// that blocks repositories by plain HTTP, except those on localhost and
// 127.0.0.1. For an endpoint without TLS, login puts a mirror before that one.
package maven

import (
	"bytes"
	"path/filepath"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/xmledit"
)

// Tool is Maven.
func Tool() login.Tool {
	return login.Tool{
		Name: "maven", Format: "maven", Programs: []string{"mvn", "mvnw", "mvnd"}, Secret: login.StoredOrEnv,
		Edits: edits, Addresses: addresses, Next: next,
	}
}

// skeleton is the text of a new file.
const skeleton = `<?xml version="1.0" encoding="UTF-8"?>
<settings xmlns="http://maven.apache.org/SETTINGS/1.0.0">
</settings>
`

func settings(p login.Environment) string { return filepath.Join(p.Home, ".m2", "settings.xml") }

func edits(t login.Target, p login.Environment) ([]login.Edit, error) {
	e := login.Edit{
		Path: settings(p), Mode: 0o600,
		Apply:  func(text []byte) ([]byte, error) { return apply(text, t) },
		Remove: func(text []byte) ([]byte, error) { return remove(text, t.Name) },
	}
	if t.Variable != "" {
		e.Mode = 0o644
	}
	return []login.Edit{e}, nil
}

// path is the path of an element below the root.
func path(steps ...xmledit.Step) []xmledit.Step {
	return append([]xmledit.Step{xmledit.El("settings")}, steps...)
}

func server(id string, more ...xmledit.Step) []xmledit.Step {
	return append(path(xmledit.El("servers"), xmledit.By("server", "id", id)), more...)
}

func mirror(id string, more ...xmledit.Step) []xmledit.Step {
	return append(path(xmledit.El("mirrors"), xmledit.By("mirror", "id", id).AtFirst()), more...)
}

func profile(id string, more ...xmledit.Step) []xmledit.Step {
	return append(path(xmledit.El("profiles"), xmledit.By("profile", "id", id)), more...)
}

func active(id string) []xmledit.Step {
	return path(xmledit.El("activeProfiles"), xmledit.Text("activeProfile", id))
}

func apply(text []byte, t login.Target) ([]byte, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		text = []byte(skeleton)
	}
	password := t.Token.Password
	if t.Variable != "" {
		password = "${env." + t.Variable + "}"
	}
	id, url := t.Name, t.Endpoint.String()
	values := []value{
		{server(id, xmledit.El("username")), "aws"},
		{server(id, xmledit.El("password")), password},
		{profile(id, xmledit.El("repositories"), xmledit.By("repository", "id", id), xmledit.El("url")), url},
		{profile(id, xmledit.El("pluginRepositories"), xmledit.By("pluginRepository", "id", id), xmledit.El("url")), url},
		{active(id), id},
	}
	mirrored := mirrors(t)
	if mirrored == "" {
		var err error
		if text, err = xmledit.Delete(text, mirror(id)); err != nil {
			return nil, err
		}
	} else {
		values = append(values, value{mirror(id, xmledit.El("mirrorOf")), mirrored}, value{mirror(id, xmledit.El("url")), url})
	}
	for _, v := range values {
		var err error
		if text, err = xmledit.Set(text, v.path, v.text); err != nil {
			return nil, err
		}
	}
	return text, nil
}

// A value is the text of an element.
type value struct {
	path []xmledit.Step
	text string
}

// mirrors says which repositories the login's mirror replaces; "" for none.
func mirrors(t login.Target) string {
	switch host := t.Endpoint.Hostname(); {
	case t.Placement == login.Replace:
		return "external:*"
	case t.Endpoint.Scheme == "http" && host != "localhost" && host != "127.0.0.1":
		return t.Name
	}
	return ""
}

func remove(text []byte, id string) ([]byte, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return text, nil
	}
	for _, p := range [][]xmledit.Step{server(id), mirror(id), profile(id), active(id)} {
		var err error
		if text, err = xmledit.Delete(text, p); err != nil {
			return nil, err
		}
	}
	if string(text) == skeleton {
		return nil, nil
	}
	return text, nil
}

func addresses(p login.Environment, read login.ReadFile) ([]string, error) {
	return read.Addresses(addressesIn, settings(p))
}

// addressesIn returns the addresses that a text has for mirrors and for the
// profiles' repositories.
func addressesIn(text []byte) ([]string, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, nil
	}
	var all []string
	for _, steps := range [][]xmledit.Step{
		path(xmledit.El("mirrors"), xmledit.El("mirror")),
		path(xmledit.El("profiles"), xmledit.El("profile"), xmledit.El("repositories"), xmledit.El("repository")),
		path(xmledit.El("profiles"), xmledit.El("profile"), xmledit.El("pluginRepositories"), xmledit.El("pluginRepository")),
	} {
		found, err := xmledit.All(text, steps)
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			// A property's value is not known here.
			if url := f.Child("url"); url != "" && !strings.Contains(url, "${") {
				all = append(all, url)
			}
		}
	}
	return all, nil
}

func next(t login.Target) string {
	return t.Export() + "mvn deploy -DaltDeploymentRepository=" + t.Name + "::default::" + t.Endpoint.String()
}
