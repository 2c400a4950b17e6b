package images_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

// A fakeSigner stands for package signing, whose own tests make and verify real signatures.
type fakeSigner struct {
	err    error  // what Sign returns
	during func() // is called by Sign
	made   int
}

func (*fakeSigner) MaySign(context.Context, string) error { return nil }

func (f *fakeSigner) Sign(_ context.Context, _ string, image ocispec.Descriptor) (*images.Signature, error) {
	if f.err != nil {
		return nil, f.err
	}
	f.made++
	if during := f.during; during != nil {
		f.during = nil
		during()
	}
	return &images.Signature{Envelope: []byte{'"', byte('a' + f.made), '"'}, Time: time.Unix(1e9, 0), Thumbprints: []string{"00"}}, nil
}

func (*fakeSigner) Verify(context.Context, []byte, digest.Digest) (string, time.Time, error) {
	return "", time.Time{}, nil
}

func (*fakeSigner) EnvelopeType() string { return "application/jose+json" }

const profile = "arn:aws:signer:us-east-1:000000000001:/signing-profiles/releases"

// An image gets one signature of a profile, however often the work runs, and errors of the
// server are tried again.
func TestSigning_OneSignature(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	if err := s.PutSigningConfiguration(t.Context(), home, images.SigningConfiguration{Rules: []images.SigningRule{{Profile: profile}}}); err != nil {
		t.Fatal(err)
	}
	status := func(tag string) images.SigningStatus {
		t.Helper()
		_, list, err := s.SigningStatus(t.Context(), app, images.Reference{Tag: tag})
		if err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		return list[0]
	}
	s.signs.err = errors.New("the disk is on fire")
	d := s.pushImage(t, app, "one", "one")
	_ = s.work.RunDue(t.Context()) // it fails, and is tried again
	if got := status("one"); got.State != "IN_PROGRESS" {
		t.Fatal(got)
	}
	s.signs.err = nil
	// Another run signs while the first one does.
	payload, err := db.One(t.Context(), s.db, db.Scalar[[]byte], `SELECT payload FROM work WHERE kind = 'images/sign'`)
	if err != nil {
		t.Fatal(err)
	}
	s.signs.during = func() {
		if err := s.SigningWork()[0].Run(t.Context(), work.Run{Payload: payload, Attempt: 1}); err != nil {
			t.Error(err)
		}
	}
	s.hours(t, 2)
	if got := status("one"); got.State != "COMPLETE" {
		t.Fatal(got)
	}
	list, _, err := s.Referrers(t.Context(), app, images.ReferrersQuery{Subject: d, Limit: 10, MaxBytes: 1 << 20})
	if err != nil || len(list) != 1 || s.signs.made != 2 {
		t.Errorf("%d signatures of %d made, %v", len(list), s.signs.made, err)
	}
	// A fault is final until the image is pushed again.
	s.signs.err = fault.New(fault.Conflict, "ProfileNotActive", "The profile was canceled.")
	s.pushImage(t, app, "two", "two")
	s.runDue(t)
	if got := status("two"); got.State != "FAILED" || got.Code != "ProfileNotActive" {
		t.Fatal(got)
	}
	s.signs.err = nil
	s.pushImage(t, app, "two", "two")
	s.runDue(t)
	if got := status("two"); got.State != "COMPLETE" || got.Code != "" {
		t.Fatal(got)
	}
}
