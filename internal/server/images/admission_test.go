package images_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// A rule about the age of images decides about each image, on pulls and pushes.
func TestAdmission_ImageAge(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	arn := "arn:aws:iam::" + app.Account + ":user/ci"
	ctx := authn.WithCaller(t.Context(), &authn.Caller{Principal: &authn.Principal{Type: authn.User, Account: app.Account, ARN: arn, PrincipalARN: arn, Name: "ci"}})
	const policy = `{"Version":"2012-10-17","Statement":{"Sid":"ADayOld","Effect":"Deny","Principal":"*","Action":["ecr:BatchGetImage","ecr:PutImage"],"Condition":{"NumericLessThan":{"gatehouse:ImageAge":"1"}}}}`
	old := s.pushImage(t, app, "old", "old")
	s.clock.advance(25 * time.Hour)
	young := s.pushImage(t, app, "young", "young")
	if _, err := s.SetPolicy(t.Context(), app, policy, images.AllowLockout); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Manifest(ctx, app, images.Reference{Tag: "old"}); err != nil {
		t.Error(err)
	}
	for _, ref := range []images.Reference{{Tag: "young"}, {Digest: young}} {
		_, err := s.Manifest(ctx, app, ref)
		if !fault.Is(err, "AccessDenied") || !strings.Contains(err.Error(), "the rule ADayOld of the resource-based policy") || !strings.Contains(err.Error(), "gatehouse:ImageAge is 0") {
			t.Error(ref, err)
		}
		_, _, err = s.Manifests(ctx, app, []images.Reference{ref})
		wantFault(t, err, "AccessDenied")
	}
	// A tag can be set on the old image, and on no young or new one.
	put := func(name string) error {
		body := image(s.push(t, app, "config of "+name), s.push(t, app, "layer of "+name))
		_, err := s.PutManifest(ctx, app, images.PutManifest{Tags: []string{"stable"}, Body: reader(string(body))})
		return err
	}
	if err := put("old"); err != nil {
		t.Error(err)
	}
	wantFault(t, put("young"), "AccessDenied")
	wantFault(t, put("new"), "AccessDenied")
	if m, err := s.Manifest(ctx, app, images.Reference{Tag: "stable"}); err != nil || m.Digest != old {
		t.Error(m, err)
	}
	// A listing is about no image.
	if _, _, err := s.Referrers(ctx, app, images.ReferrersQuery{Subject: young, Limit: 1, MaxBytes: 1}); err != nil {
		t.Error(err)
	}
	s.clock.advance(25 * time.Hour)
	if _, err := s.Manifest(ctx, app, images.Reference{Tag: "young"}); err != nil {
		t.Error(err)
	}
}
