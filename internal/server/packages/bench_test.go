package packages_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob/removal/removaltest"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// metadata are about what npm keeps of a version.
var metadata = json.RawMessage(`{"name":"lib","dist":{"shasum":"` + strings.Repeat("a", 40) + `"},"x":"` + strings.Repeat("y", 1500) + `"}`)

func (h *fixture) publishMany(b *testing.B, repo string, n int) {
	b.Helper()
	for i := range n {
		h.ok(second(h.publishAs(h.ctx, packages.Publication{
			Repository: domain.Repository(repo), Package: npm("lib"), Version: fmt.Sprintf("1.%d.0", i), Metadata: metadata,
		}, "lib.tgz", fmt.Sprint(i))))
		h.pass(time.Second)
	}
}

func BenchmarkPackageCached(b *testing.B) {
	for name, repo := range map[string]string{"own": "base", "upstream": "app"} {
		b.Run(name, func(b *testing.B) {
			h := open(b)
			h.repositories("base", "middle: base", "app: middle")
			h.publishMany(b, "base", 50)
			h.mustPublish("middle", packages.PackageID{Format: packages.NPM, Name: "unrelated"}, "1.0.0", "a", "x")
			h.ok(second(h.Package(h.ctx, domain.Repository(repo), npm("lib"))))
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := h.Package(h.ctx, domain.Repository(repo), npm("lib")); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// BenchmarkPackageAfterPublish is one publish on a package of 500 versions and
// the read that follows.
func BenchmarkPackageAfterPublish(b *testing.B) {
	h := open(b)
	h.repositories("base")
	h.publishMany(b, "base", 500)
	h.ok(second(h.Package(h.ctx, domain.Repository("base"), npm("lib"))))
	for _, read := range []bool{false, true} {
		b.Run(map[bool]string{false: "publish", true: "publish+read"}[read], func(b *testing.B) {
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				n++
				id := fmt.Sprintf("2.%d.%d", b.N, n)
				v, err := h.publishAs(h.ctx, packages.Publication{Repository: domain.Repository("base"), Package: npm("lib"), Version: id, Metadata: metadata}, "lib.tgz", id)
				h.ok(err)
				h.pass(time.Second)
				if !read {
					continue
				}
				p, err := h.Package(h.ctx, domain.Repository("base"), npm("lib"))
				if err != nil || p.Version(v.Version) == nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRead is the read that finds nothing in memory.
func BenchmarkRead(b *testing.B) {
	h := open(b)
	h.repositories("base")
	h.publishMany(b, "base", 500)
	b.ReportAllocs()
	for b.Loop() {
		s, err := packages.New(h.ctx, packages.Config{DB: h.db, Blobs: h.blobs, Removals: removaltest.New(b, h.db, h.blobs, h.now), Authz: h.authorizer(), Principals: iamtest.Unbound{}, Now: h.now})
		h.ok(err)
		h.ok(second(s.Package(h.ctx, domain.Repository("base"), npm("lib"))))
	}
}

func BenchmarkOpenAsset(b *testing.B) {
	h := open(b)
	h.repositories("base")
	h.publishMany(b, "base", 50)
	b.ReportAllocs()
	for b.Loop() {
		_, o, err := h.OpenAsset(h.ctx, domain.Repository("base"), npm("lib"), "1.7.0", "lib.tgz")
		h.ok(err)
		o.Close()
	}
}
