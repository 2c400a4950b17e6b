package packages_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
)

// A clock that is set forward does not make versions old: not at once, not when the
// background work has noted it, and not after a restart.
func TestAdmission_ClockSetForward(t *testing.T) {
	r := newRegistry(t)
	h := remotely(t, r, source.Settings{Fresh: time.Second, Background: time.Second}, "app: npm-store")
	h.ok(h.work.Handle(h.RetentionWork()...))
	left := npm("left")
	r.times = h.now().Add(-30 * 24 * time.Hour)
	r.add("left", "1.0.0", "good")
	r.times = h.now().Add(-6*24*time.Hour - time.Hour)
	r.add("left", "1.0.1", "worm")
	h.setPolicy("app", denyIf("NothingYoung", youngerThanWeek))
	see := func(when, want string) {
		t.Helper()
		if got := h.versions("app", left); got != want {
			t.Errorf("%s clients see %s, want %s", when, got, want)
		}
	}
	h.runWork() // notes the time
	see("at first", "1.0.0")
	h.pass(10 * 365 * 24 * time.Hour)
	see("with a wrong clock", "1.0.0")
	err := second(h.read("app", left, "1.0.1", tarball))
	if fails(t, err, "AccessDenied"); !strings.Contains(err.Error(), "gatehouse:VersionAge is 6 because the clock of the server was set") {
		t.Error(err)
	}
	h.runWork()
	see("when the wrong clock is noted", "1.0.0")
	h.pass(2 * time.Hour)
	h.runWork()
	see("two hours later", "1.0.0")
	// Time goes on meanwhile: it comes of age when it would have.
	h.pass(21 * time.Hour)
	see("23 hours later", "1.0.0 1.0.1")
}

// After a time without a server, versions come of age a day later than they could.
func TestAdmission_NoServerRan(t *testing.T) {
	r := newRegistry(t)
	h := remotely(t, r, source.Settings{Fresh: time.Second, Background: time.Second}, "app: npm-store")
	h.ok(h.work.Handle(h.RetentionWork()...))
	left := npm("left")
	r.times = h.now().Add(-time.Hour)
	r.add("left", "1.0.0", "x")
	h.setPolicy("app", denyIf("NothingYoung", youngerThanWeek))
	h.runWork()
	h.pass(9 * 24 * time.Hour)
	for range 24 {
		h.runWork()
		if _, err := h.Package(h.ctx, domain.Repository("app"), left); err == nil {
			t.Fatal("a clock that has not run for a day is trusted")
		}
		h.pass(time.Hour)
	}
	h.runWork()
	if got := h.versions("app", left); got != "1.0.0" {
		t.Errorf("clients see %s", got)
	}
}

// An exception does not begin again, or last longer, because the clock is set back, and a
// quarantine does not end because it is set forward.
func TestAdmission_EntriesAndTheClock(t *testing.T) {
	h := open(t)
	h.repositories("app")
	left := npm("left")
	h.mustPublish("app", left, "1.0.0", tarball, "x")
	h.mustPublish("app", left, "1.1.0", tarball, "y")
	h.setPolicy("app", denyIf("Young", `{"NumericLessThan":{"gatehouse:VersionAge":7}}`))
	h.ok(second(h.PutException(h.ctx, packages.NewEntry{Domain: domain, Package: left, Until: h.now().Add(time.Hour)})))
	h.ok(second(h.PutQuarantine(h.ctx, packages.NewEntry{Domain: domain, Package: left, Version: "1.1.0", Until: h.now().Add(time.Hour)})))
	see := func(when, want string) {
		t.Helper()
		if got := h.versions("app", left); got != want {
			t.Errorf("%s clients see %s, want %s", when, got, want)
		}
	}
	h.runWork()
	see("at first", "1.0.0")
	h.pass(2 * time.Hour)
	h.runWork()
	see("when both have ended", "none")
	h.pass(-3 * time.Hour)
	see("after the clock was set back", "none")
	h.runWork()
	see("when that was noted", "none")

	h.ok(second(h.PutException(h.ctx, packages.NewEntry{Domain: domain, Package: left, Until: h.now().Add(200 * 24 * time.Hour)})))
	h.ok(second(h.PutQuarantine(h.ctx, packages.NewEntry{Domain: domain, Package: left, Version: "1.1.0", Until: h.now().Add(48 * time.Hour)})))
	see("with new ones", "1.0.0")
	h.pass(100 * 24 * time.Hour)
	see("after the clock was set forward", "1.0.0")
}

// An entry that is put while the clock is wrong removes no quarantine that has not ended, and
// such a quarantine is listed.
func TestAdmission_EntriesPutByAWrongClock(t *testing.T) {
	h := open(t)
	h.repositories("app")
	left, other := npm("left"), npm("other")
	h.mustPublish("app", left, "1.0.0", tarball, "x")
	h.runWork()
	h.ok(second(h.PutQuarantine(h.ctx, packages.NewEntry{Domain: domain, Package: left, Until: h.now().Add(30 * 24 * time.Hour)})))
	ahead := 365 * 24 * time.Hour
	h.pass(ahead)
	if list, err := h.AdmissionEntries(h.ctx, domain, ""); err != nil || len(list) != 1 {
		t.Errorf("the list has %v, %v", list, err)
	}
	h.ok(second(h.PutQuarantine(h.ctx, packages.NewEntry{Domain: domain, Package: other})))
	if got := h.versions("app", left); got != "none" {
		t.Errorf("while the clock is wrong, clients see %s", got)
	}
	h.pass(-ahead)
	if got := h.versions("app", left); got != "none" {
		t.Errorf("after the clock was set right, clients see %s", got)
	}
}
