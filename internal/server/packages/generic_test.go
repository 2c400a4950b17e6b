package packages_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

func generic(name string) packages.PackageID {
	return packages.PackageID{Format: packages.Generic, Namespace: "tools", Name: name}
}

func sha(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

// publishGeneric publishes an asset; more changes the publication.
func (h *fixture) publishGeneric(version, asset, content string, more ...func(*packages.GenericPublication)) (*packages.Version, error) {
	h.t.Helper()
	p := packages.GenericPublication{
		Repository: domain.Repository("store"), Package: generic("cli"), Version: version,
		Asset: asset, SHA256: sha(content), Content: strings.NewReader(content),
	}
	for _, m := range more {
		m(&p)
	}
	return h.PublishGeneric(h.ctx, p)
}

func unfinished(p *packages.GenericPublication) { p.Unfinished = true }

func TestPublishGeneric_Unfinished(t *testing.T) {
	h := open(t)
	h.repositories("store")
	for _, asset := range []string{"linux.tgz", "darwin.tgz"} {
		v, err := h.publishGeneric("1.0", asset, asset, unfinished)
		if err != nil || v.Status != packages.Unfinished {
			t.Fatalf("%s: %+v, %v", asset, v, err)
		}
	}
	v, err := h.publishGeneric("1.0", "sums txt", "sums")
	if err != nil || v.Status != packages.Published || len(v.Assets) != 3 {
		t.Fatalf("%+v, %v", v, err)
	}
	revision := v.Revision
	_, err = h.publishGeneric("1.0", "more.tgz", "more")
	fails(t, err, "Conflict")
	_, err = h.publishGeneric("1.0", "more.tgz", "more", unfinished)
	fails(t, err, "Conflict")
	_, err = h.publishGeneric("1.0", "linux.tgz", "other bytes")
	fails(t, err, "Conflict")
	if v, err = h.publishGeneric("1.0", "linux.tgz", "linux.tgz"); err != nil || v.Revision != revision {
		t.Fatalf("the same asset again: %+v, %v", v, err)
	}
}

func TestPublishGeneric_Refused(t *testing.T) {
	h := open(t)
	h.repositories("store")
	for name, c := range map[string]struct {
		code string
		more func(*packages.GenericPublication)
	}{
		"other format":     {"Validation", func(p *packages.GenericPublication) { p.Package.Format = packages.NPM }},
		"other hash":       {"Validation", func(p *packages.GenericPublication) { p.SHA256 = sha("something else") }},
		"broken body":      {"Validation", func(p *packages.GenericPublication) { p.Content = io.MultiReader(p.Content, broken{}) }},
		"path":             {"Validation", func(p *packages.GenericPublication) { p.Asset = "a/b" }},
		"character":        {"Validation", func(p *packages.GenericPublication) { p.Asset = "a:b" }},
		"two spaces":       {"Validation", func(p *packages.GenericPublication) { p.Asset = "a  b" }},
		"space at the end": {"Validation", func(p *packages.GenericPublication) { p.Asset = "a " }},
		"no version":       {"Validation", func(p *packages.GenericPublication) { p.Version = "" }},
		"no repository":    {"ResourceNotFound", func(p *packages.GenericPublication) { p.Repository.Name = "none" }},
	} {
		_, err := h.publishGeneric("1.0", "a", "content", c.more)
		if err == nil {
			t.Errorf("%s was published", name)
			continue
		}
		fails(t, err, c.code)
	}
	if n := h.objects(); n != 0 {
		t.Errorf("%d objects are left", n)
	}
	fails(t, second(h.DescribePackage(h.ctx, domain.Repository("store"), generic("cli"))), "ResourceNotFound")
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errBroken }

// Generic packages are never taken from upstreams: not for reading, and the same version
// there does not hinder a publication.
func TestPackage_GenericOwnOnly(t *testing.T) {
	h := open(t)
	h.repositories("base", "store: base")
	h.mustPublish("base", generic("cli"), "1.0", "a", "upstream")
	if got := h.versions("store", generic("cli")); got != "none" {
		t.Errorf("the repository shows %s", got)
	}
	h.ok(h.SetOrigin(h.ctx, domain.Repository("store"), generic("cli"), packages.Origin{Publish: packages.Allow, Upstream: packages.Allow}))
	h.ok(second(h.publishGeneric("1.0", "a", "own")))
	if got, err := h.read("store", generic("cli"), "1.0", "a"); err != nil || got != "own" {
		t.Errorf("%q, %v", got, err)
	}
}

// A caller without the permission sends nothing: the body is not read.
func TestPublishGeneric_AuthorizesFirst(t *testing.T) {
	h := open(t)
	h.repositories("store")
	read := false
	ctx := as(t, account, "guest", allow("codeartifact:ReadFromRepository", "*"))
	_, err := h.PublishGeneric(ctx, packages.GenericPublication{
		Repository: domain.Repository("store"), Package: generic("cli"), Version: "1.0", Asset: "a", SHA256: sha(""),
		Content: readerFunc(func([]byte) (int, error) { read = true; return 0, io.EOF }),
	})
	fails(t, err, "AccessDenied")
	if read {
		t.Error("the body was read")
	}
	publisher := as(t, account, "publisher", allow("codeartifact:PublishPackageVersion", "arn:aws:codeartifact:"+region+":"+account+":package/acme/store/generic/tools/cli"))
	h.ok(second(h.withContext(publisher).publishGeneric("1.0", "a", "x")))
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// withContext returns the fixture for another caller.
func (h *fixture) withContext(ctx context.Context) *fixture {
	one := *h
	one.ctx = ctx
	return &one
}
