package toolenv

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/containers"
	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/jsonedit"
)

// docker is for every client of container registries: docker and crane read
// DOCKER_CONFIG; podman, skopeo and buildah REGISTRY_AUTH_FILE; helm
// HELM_REGISTRY_CONFIG. All of them can ask a helper. So they get the person's
// configuration of docker with our helper for the registries, the helper in a folder
// on PATH, and an address book that tells the helper which AWS configuration to use.
//
// Passwords that `docker login` wrote into the person's file without a helper are
// secrets, and are left out. Logins that another helper stores still work.
func docker(s *setter) {
	if s.first().Token.Password == "" { // no token is needed
		return
	}
	config, err := s.dockerConfig()
	if err != nil {
		s.err = err
		return
	}
	const dir = "docker"
	path := s.file(filepath.Join(dir, "config.json"), string(config))
	s.set("DOCKER_CONFIG", filepath.Dir(path))
	s.set("REGISTRY_AUTH_FILE", path)
	s.set("HELM_REGISTRY_CONFIG", path)
	s.unset("DOCKER_AUTH_CONFIG") // docker 28.3 and later read it first
	if s.err = s.linkDocker(dir); s.err != nil {
		return
	}
	s.helper()
}

// dockerConfig is the person's configuration as login would change it, without
// passwords.
func (s *setter) dockerConfig() (text []byte, err error) {
	for i, e := range s.endpoints {
		edits, err := containers.Docker().Edits(e.Target, s.Places)
		if err != nil {
			return nil, err
		}
		for _, edit := range edits {
			if i == 0 {
				if text, err = s.ReadFile.Text(edit.Path); err != nil {
					return nil, err
				}
			}
			if text, err = edit.Apply(text); err != nil {
				return nil, err
			}
		}
	}
	for _, secret := range []string{"auths", "HttpHeaders"} {
		if text, err = jsonedit.Delete(text, []string{secret}); err != nil {
			return nil, err
		}
	}
	proxies, _, err := jsonedit.Get(text, []string{"proxies"})
	if err != nil {
		return nil, err
	}
	if strings.Contains(fmt.Sprint(proxies), "@") { // a password in an address
		return jsonedit.Delete(text, []string{"proxies"})
	}
	return text, nil
}

// linkDocker links the rest of the person's folder: contexts, plug-ins, builders.
func (s *setter) linkDocker(dir string) error {
	own := containers.DockerFolder(s.Places)
	entries, err := os.ReadDir(own)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if e.Name() != "config.json" {
			s.env.Links = append(s.env.Links, Link{Path: filepath.Join(dir, e.Name()), To: filepath.Join(own, e.Name())})
		}
	}
	return nil
}

// helper puts the helper on PATH, and writes an address book for it.
func (s *setter) helper() {
	name := containers.Docker().Helper
	if s.Places.GOOS == "windows" {
		name += ".exe"
	}
	const bin = "bin"
	s.env.Links = append(s.env.Links, Link{Path: filepath.Join(bin, name), To: s.Places.Program})
	s.set("PATH", filepath.Join(s.Dir, bin)+string(os.PathListSeparator)+s.Places.Getenv("PATH"))
	book, err := s.ReadFile.Text(credential.AddressFile(s.Places.Home, s.Places.GOOS, s.Places.Getenv))
	for _, e := range s.endpoints {
		if err == nil {
			book, err = credential.SetAddress(book, address(e.Target))
		}
	}
	if err != nil {
		s.err = err
		return
	}
	s.set(credential.AddressVariable, s.file("addresses.toml", string(book)))
}

func address(t login.Target) credential.Address {
	return credential.Address{Host: credential.AddressOf(t.Endpoint), AWS: t.AWS, Duration: t.Duration}
}
