package signing_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"testing"
	"time"

	"github.com/notaryproject/notation-core-go/signature"
	"github.com/notaryproject/notation-core-go/signature/jws"
	notationx509 "github.com/notaryproject/notation-core-go/x509"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/dbtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/signing"
)

type allow struct{}

func (allow) Authorize(context.Context, *authz.Request) error { return nil }

// A sealer stands for the keyring, whose own tests are in package token: it binds what it
// seals to a place and a key.
type sealer struct{ active string }

func (s *sealer) SealSecret(place string, secret []byte) ([]byte, string, error) {
	return append([]byte(s.active+"|"+place+"|"), secret...), s.active, nil
}

func (s *sealer) OpenSecret(place string, sealed []byte) ([]byte, error) {
	for _, key := range []string{"one", "two"} {
		prefix := key + "|" + place + "|"
		if len(sealed) > len(prefix) && string(sealed[:len(prefix)]) == prefix {
			return sealed[len(prefix):], nil
		}
	}
	return nil, errors.New("sealed for another place")
}

func (s *sealer) ActiveKeyID() string { return s.active }

type fixture struct {
	*signing.Service
	db     *db.DB
	sealer *sealer
	now    time.Time
}

func newService(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{db: dbtest.Open(t), sealer: &sealer{"one"}, now: time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)}
	var err error
	f.Service, err = signing.New(t.Context(), signing.Config{DB: f.db, Authz: allow{}, Sealer: f.sealer, Now: func() time.Time { return f.now }})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

var (
	releases = signing.ProfileID{Account: "000000000001", Region: "us-east-1", Name: "releases"}
	image    = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("image"), Size: 5}
)

func (f *fixture) put(t *testing.T, id signing.ProfileID, v signing.Validity) {
	t.Helper()
	if _, err := f.Put(t.Context(), id, v, nil); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) sign(t *testing.T, id signing.ProfileID) *signing.Signature {
	t.Helper()
	s, err := f.Sign(t.Context(), id.ARN(), image)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What is signed is valid by the Notary Project's own library, with the exported root.
func TestSign_Notation(t *testing.T) {
	f := newService(t)
	f.put(t, releases, signing.Validity{Value: 30, Unit: "DAYS"})
	s := f.sign(t, releases)
	envelope, err := jws.ParseEnvelope(s.Envelope)
	if err != nil {
		t.Fatal(err)
	}
	content, err := envelope.Verify()
	if err != nil {
		t.Fatal(err)
	}
	text, err := f.Root(t.Context(), releases.Account)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	root, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	info := &content.SignerInfo
	if _, err := signature.VerifyAuthenticity(info, []*x509.Certificate{root}); err != nil {
		t.Error(err)
	}
	if err := notationx509.ValidateCodeSigningCertChain(info.CertificateChain, &info.SignedAttributes.SigningTime); err != nil {
		t.Error(err)
	}
	leaf := info.CertificateChain[0]
	if info.SignedAttributes.SigningScheme != signature.SigningSchemeX509 || !info.SignedAttributes.Expiry.Equal(f.now.AddDate(0, 0, 30)) || !leaf.NotAfter.After(info.SignedAttributes.Expiry) ||
		info.SignatureAlgorithm != signature.AlgorithmES384 || len(s.Thumbprints) != 2 {
		t.Errorf("%+v %v %v", info.SignedAttributes, leaf.NotAfter, s.Thumbprints)
	}
	if got := leaf.Subject.String(); got != "CN=releases,OU=000000000001,O=Gatehouse,ST=us-east-1,C=XX" {
		t.Error(got)
	}
}

func TestVerify(t *testing.T) {
	f, stranger := newService(t), newService(t)
	f.put(t, releases, signing.Validity{})
	stranger.put(t, releases, signing.Validity{})
	s := f.sign(t, releases)
	got, err := f.Verify(t.Context(), s.Envelope, image.Digest)
	if err != nil || got.Signer != releases.ARN() || !got.Expires.Equal(f.now.AddDate(0, 135, 0)) {
		t.Fatal(got, err)
	}
	for what, c := range map[string]struct {
		envelope []byte
		image    digest.Digest
	}{
		"another image":       {s.Envelope, digest.FromString("other")},
		"of another root":     {stranger.sign(t, releases).Envelope, image.Digest},
		"not an envelope":     {[]byte("{}"), image.Digest},
		"empty":               {nil, image.Digest},
		"a changed signature": {append(s.Envelope[:len(s.Envelope)-40:len(s.Envelope)-40], []byte(`"}`)...), image.Digest},
	} {
		if _, err := f.Verify(t.Context(), c.envelope, c.image); !errors.Is(err, signing.ErrNotTrusted) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// A profile of another account has another root.
	other := signing.ProfileID{Account: "000000000002", Region: "us-east-1", Name: "releases"}
	f.put(t, other, signing.Validity{})
	if got, err := f.Verify(t.Context(), f.sign(t, other).Envelope, image.Digest); err != nil || got.Signer != other.ARN() {
		t.Error(got, err)
	}
}

// Keys change with time, with a new version and with the keyring, and old signatures stay
// valid.
func TestSign_KeysRotate(t *testing.T) {
	f := newService(t)
	f.put(t, releases, signing.Validity{})
	var all []*signing.Signature
	keys := map[string]bool{}
	sign := func() {
		t.Helper()
		s := f.sign(t, releases)
		all, keys[s.Thumbprints[0]] = append(all, s), true
	}
	sign()
	sign()
	if len(keys) != 1 {
		t.Errorf("%d keys", len(keys))
	}
	f.now = f.now.AddDate(0, 0, 91)
	sign()
	f.put(t, releases, signing.Validity{})
	sign()
	if len(keys) != 3 {
		t.Errorf("%d keys, want the first, that after 90 days and that of the new version", len(keys))
	}
	f.sealer.active = "two"
	if err := f.Reseal(t.Context()); err != nil {
		t.Fatal(err)
	}
	old, err := db.One(t.Context(), f.db, db.Scalar[int64], `SELECT (SELECT count(*) FROM signing_root WHERE sealed_by = 'one') + (SELECT count(*) FROM signing_key WHERE sealed_by = 'one')`)
	if err != nil || old != 0 {
		t.Error(old, err)
	}
	sign()
	if len(keys) != 3 {
		t.Errorf("%d keys", len(keys))
	}
	for i, s := range all {
		if _, err := f.Verify(t.Context(), s.Envelope, image.Digest); err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
	if err := f.Cancel(t.Context(), releases); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Sign(t.Context(), releases.ARN(), image); !fault.Is(err, "ProfileNotActive") {
		t.Error(err)
	}
	if _, err := f.Verify(t.Context(), all[0].Envelope, image.Digest); err != nil {
		t.Error("a signature of a canceled profile:", err)
	}
	if _, err := f.Sign(t.Context(), "arn:aws:signer:us-east-1:000000000001:/signing-profiles/none", image); !fault.Is(err, "ResourceNotFound") {
		t.Error(err)
	}
}
