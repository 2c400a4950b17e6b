package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/config"
	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/declare"
	"github.com/gatehouse-registry/gatehouse/internal/server/upstreamconfig"
)

// CheckConfig returns everything that would keep a server from starting with c and that
// can be seen without starting one, as joined [config.Problem]s: what
// [config.Config.Validate] says, files that are missing or unreadable, addresses that
// are not found, certificates that do not load, and identities that cannot be declared.
// It reads files as the user who runs it and creates nothing.
// now is when certificates must be valid.
func CheckConfig(c *config.Config, now time.Time) error {
	check := configCheck{config: c, errs: []error{c.Validate()}}
	check.data()
	check.address("listen", c.Listen)
	check.address("debug_listen", c.DebugListen)
	check.certificate(now)
	if _, err := c.OIDC.Authorities(); err != nil {
		check.add("oidc.ca", errors.Unwrap(err))
	}
	check.upstreams()
	check.destinations()
	check.advisories()
	if _, err := c.Events.Authorities(); err != nil {
		check.add("events.ca", err)
	}
	for setting, err := range sorted(c.Events.CheckSecrets()) {
		check.add(setting, err)
	}
	if dir := filepath.Dir(c.Audit); filepath.IsAbs(c.Audit) {
		check.folder("audit", dir)
	}
	if _, err := keyringCodec(c); err != nil {
		check.add("keyring_wrapping", err)
	}
	check.identities()
	return errors.Join(check.errs...)
}

// A configCheck gathers what is wrong.
type configCheck struct {
	config *config.Config
	errs   []error
}

func (k *configCheck) add(setting string, err error) {
	k.errs = append(k.errs, k.config.ProblemAt(setting, err.Error()))
}

// data checks the data folder if it exists. The first start creates it.
func (k *configCheck) data() {
	if k.config.Data == "" {
		return
	}
	if _, err := os.Stat(k.config.Data); !errors.Is(err, fs.ErrNotExist) {
		k.folder("data", k.config.Data)
	}
}

// folder checks that a folder exists and can be read.
func (k *configCheck) folder(setting, path string) {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is not a folder", path)
	}
	if err == nil {
		_, err = os.ReadDir(path)
	}
	if err != nil {
		k.add(setting, err)
	}
}

// address checks that the host of an address to listen on is found.
func (k *configCheck) address(setting, address string) {
	host, _, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		return // Validate reports what is not an address, and every port that does not exist
	}
	if _, err := net.ResolveIPAddr("ip", host); err != nil {
		k.add(setting, err)
	}
}

// certificate checks that the listener's certificate and key load, belong together, and
// are valid now.
func (k *configCheck) certificate(now time.Time) {
	t := k.config.TLS
	if t == nil || t.Certificate == "" || t.Key == "" {
		return
	}
	for setting, file := range sorted(map[string]string{"tls.certificate": t.Certificate, "tls.key": t.Key}) {
		if f, err := os.Open(file); err != nil {
			k.add(setting, err)
			return
		} else if err := f.Close(); err != nil {
			k.add(setting, err)
		}
	}
	pair, err := tls.LoadX509KeyPair(t.Certificate, t.Key)
	if err != nil {
		k.add("tls.certificate", err)
		return
	}
	switch {
	case now.After(pair.Leaf.NotAfter):
		k.add("tls.certificate", fmt.Errorf("%s expired at %v", t.Certificate, pair.Leaf.NotAfter))
	case now.Before(pair.Leaf.NotBefore):
		k.add("tls.certificate", fmt.Errorf("%s is not valid before %v", t.Certificate, pair.Leaf.NotBefore))
	}
}

// upstreams checks the upstreams that the file has. Others may have no address.
func (k *configCheck) upstreams() {
	if k.errs[0] != nil {
		return // Validate said already what is wrong with their settings, if it was that
	}
	for _, u := range Upstreams(k.config, upstreamconfig.Machine()) {
		if _, ok := k.config.Upstreams[u.Name]; !ok {
			continue
		}
		_, err := u.Open(egress.Services{})
		var wrong *egress.SettingError
		switch setting := "upstreams." + u.Name; {
		case errors.As(err, &wrong):
			k.add(setting+"."+wrong.Setting, wrong.Err)
		case err != nil:
			k.add(setting, err)
		}
	}
}

// destinations checks the files that destinations of replication name.
func (k *configCheck) destinations() {
	for name, d := range sorted(k.config.Replication.Destinations) {
		setting := "replication.destinations." + name
		if _, _, _, err := d.Egress(name); err != nil {
			k.add(setting+".ca", errors.Unwrap(err))
		}
		if d.SecretFile == "" && d.SecretEnv == "" {
			continue
		}
		if _, err := (&destinationKey{Destination: d}).Retrieve(context.Background()); err != nil {
			k.add(setting, err)
		}
	}
}

// advisories checks the files that the sources of advisories name.
func (k *configCheck) advisories() {
	for _, name := range k.config.Advisories.Names() {
		_, err := k.config.Advisories.Sources[name].Egress(name)
		var wrong *egress.SettingError
		if errors.As(err, &wrong) && wrong.Setting == "ca" {
			k.add("advisories.sources."+name+".ca", wrong.Err)
		}
	}
}

// identities checks what the file declares. Whether a policy or a group that the
// declaration refers to exists is known to the server alone.
func (k *configCheck) identities() {
	for _, wrong := range declarationErrors(checkDeclaration(k.config)) {
		message := wrong.Error()[len(wrong.Where)+len(": "):]
		k.errs = append(k.errs, k.config.ProblemAt(wrong.Where, message))
	}
}

// declarationErrors returns the errors of a declaration that err joins.
func declarationErrors(err error) (all []*declare.Error) {
	switch e := err.(type) {
	case *declare.Error:
		return []*declare.Error{e}
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			all = append(all, declarationErrors(inner)...)
		}
	}
	return all
}
