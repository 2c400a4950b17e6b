package packages_test

import (
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// download downloads an asset whole.
func (h *fixture) download(repo string, id packages.PackageID, version, asset string) {
	h.t.Helper()
	a, o, err := h.OpenAsset(h.ctx, domain.Repository(repo), id, version, asset)
	h.ok(err)
	o.Close()
	a.RecordDownload()
}

// statistics returns the downloads of a version.
func (h *fixture) statistics(repo string, id packages.PackageID, version string) packages.VersionStatistics {
	h.t.Helper()
	page, _, err := h.ListVersionStatistics(h.ctx, domain.Repository(repo), id, "", 100)
	h.ok(err)
	for _, v := range page {
		if v.Version == version {
			return v
		}
	}
	h.t.Fatalf("no statistics of %s in %s: %+v", version, repo, page)
	return packages.VersionStatistics{}
}

func TestRecordDownload(t *testing.T) {
	h := open(t)
	h.repositories("app")
	h.mustPublish("app", npm("lib"), "1.0.0", "lib.tgz", "one")
	h.mustPublish("app", npm("lib"), "2.0.0", "lib.tgz", "two")
	h.download("app", npm("lib"), "1.0.0", "lib.tgz")
	h.pass(time.Hour)
	h.download("app", npm("lib"), "1.0.0", "lib.tgz")
	last := h.now()
	if s := h.statistics("app", npm("lib"), "1.0.0"); s.Downloads != 2 || !s.LastDownload.Equal(last) {
		t.Errorf("%+v", s)
	}
	if s := h.statistics("app", npm("lib"), "2.0.0"); s.Downloads != 0 || !s.LastDownload.IsZero() {
		t.Errorf("never downloaded: %+v", s)
	}

	// A client that asks whether its copy is current uses the version.
	h.pass(time.Hour)
	a, o, err := h.OpenAsset(h.ctx, domain.Repository("app"), npm("lib"), "1.0.0", "lib.tgz")
	h.ok(err)
	o.Close()
	a.RecordUse()
	if s := h.statistics("app", npm("lib"), "1.0.0"); s.Downloads != 2 || !s.LastDownload.Equal(h.now()) {
		t.Errorf("%+v", s)
	}

	// A restart keeps what was stored, and a clock that was set back does not lose it.
	next := reopen(t, h.dir, h.clock)
	latest := h.now()
	next.pass(-24 * time.Hour)
	next.download("app", npm("lib"), "1.0.0", "lib.tgz")
	if s := next.statistics("app", npm("lib"), "1.0.0"); s.Downloads != 3 || !s.LastDownload.Equal(latest) {
		t.Errorf("%+v", s)
	}

	// A version that is published again begins anew.
	next.download("app", npm("lib"), "1.0.0", "lib.tgz")
	next.ok(next.DeleteVersions(next.ctx, domain.Repository("app"), npm("lib"), []string{"1.0.0"}))
	next.ok(next.Maintain(t.Context()))
	next.mustPublish("app", npm("lib"), "1.0.0", "lib.tgz", "again")
	if s := next.statistics("app", npm("lib"), "1.0.0"); s.Downloads != 0 {
		t.Errorf("%+v", s)
	}
	next.ok(second(next.DeleteRepository(next.ctx, domain.Repository("app"))))
}

// A download through a downstream repository is one of both, until the downstream
// repository has the version itself.
func TestRecordDownload_Upstream(t *testing.T) {
	h := open(t)
	h.repositories("base", "app: base")
	h.mustPublish("base", npm("lib"), "1.0.0", "lib.tgz", "one")
	for range 2 {
		h.download("app", npm("lib"), "1.0.0", "lib.tgz")
	}
	if app, base := h.statistics("app", npm("lib"), "1.0.0"), h.statistics("base", npm("lib"), "1.0.0"); app.Downloads != 2 || base.Downloads != 1 {
		t.Errorf("app %+v, base %+v", app, base)
	}
}

// What several servers record adds up.
func TestServers_DownloadsAddUp(t *testing.T) {
	all, _ := newServers(t, 2)
	all[0].repositories("app")
	all[0].mustPublish("app", npm("lib"), "1.0.0", "lib.tgz", "one")
	for i, h := range all {
		for range i + 1 {
			h.download("app", npm("lib"), "1.0.0", "lib.tgz")
		}
	}
	all[0].ok(all[1].Maintain(t.Context()))
	if s := all[0].statistics("app", npm("lib"), "1.0.0"); s.Downloads != 3 {
		t.Errorf("%+v", s)
	}
}

func TestListPackageStatistics_Authorization(t *testing.T) {
	h := open(t)
	h.repositories("app")
	h.mustPublish("app", npm("lib"), "1.0.0", "lib.tgz", "one")
	reader := as(t, account, "reader", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"codeartifact:*","Resource":"*"}}`)
	_, _, err := h.ListPackageStatistics(reader, domain.Repository("app"), packages.PackageID{}, 10)
	fails(t, err, "AccessDenied")
	_, _, err = h.ListVersionStatistics(reader, domain.Repository("app"), npm("lib"), "", 10)
	fails(t, err, "AccessDenied")
}
