package npm_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats/formatstest"
)

// bundle is a Sigstore bundle whose statement names the subject and its SHA-512.
func bundle(t testing.TB, subject, sha512 string) object {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)}, &x509.Certificate{SerialNumber: big.NewInt(1)}, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	payload := encode(t, object{
		"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://slsa.dev/provenance/v1",
		"subject": []object{{"name": subject, "digest": object{"sha512": sha512}}},
	})
	const payloadType = "application/vnd.in-toto+json"
	signed := sha256.Sum256(fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(payload), payload))
	sig, err := ecdsa.SignASN1(rand.Reader, key, signed[:])
	if err != nil {
		t.Fatal(err)
	}
	return object{
		"mediaType":            "application/vnd.dev.sigstore.bundle.v0.3+json",
		"verificationMaterial": object{"certificate": object{"rawBytes": certificate}},
		"dsseEnvelope":         object{"payload": []byte(payload), "payloadType": payloadType, "signatures": []object{{"sig": sig}}},
	}
}

// attached is the document with the bundle as libnpmpublish attaches it.
func attached(t testing.TB, doc object, name, version, bundle string) string {
	t.Helper()
	doc["_attachments"].(object)[name+"-"+version+".sigstore"] = object{
		"content_type": "application/vnd.dev.sigstore.bundle.v0.3+json", "data": bundle, "length": len(bundle),
	}
	return encode(t, doc)
}

func TestPublish_Provenance(t *testing.T) {
	for name, subject := range map[string]string{"lib": "pkg:npm/lib@1.0.0", "@team/lib": "pkg:npm/%40team/lib@1.0.0"} {
		s, app := start(t)
		tarball := []byte("tarball")
		sum := sha512.Sum512(tarball)
		b := bundle(t, subject, hex.EncodeToString(sum[:]))
		address := app + strings.Replace(name, "/", "%2f", 1)
		want(t, 201, s.Do(formatstest.Admin, "PUT", address, attached(t, document(name, "1.0.0", "latest", tarball), name, "1.0.0", encode(t, b))))

		doc := decode(t, want(t, 200, s.Do(formatstest.Reader, "GET", address, "")))
		dist := doc["versions"].(object)["1.0.0"].(object)["dist"].(object)
		attestations := dist["attestations"].(object)
		if attestations["provenance"].(object)["predicateType"] != "https://slsa.dev/provenance/v1" {
			t.Fatal(attestations)
		}
		// npm appends the path of the address to the registry's.
		_, path, _ := strings.Cut(strings.TrimPrefix(attestations["url"].(string), "http://"), "/")
		got := decode(t, want(t, 200, s.Do(formatstest.Reader, "GET", app+path, "")))
		one := got["attestations"].([]any)[0].(object)
		if one["predicateType"] != "https://slsa.dev/provenance/v1" || one["bundle"].(object)["mediaType"] != b["mediaType"] {
			t.Fatal(one)
		}
		want(t, 403, s.Do(formatstest.Publisher, "GET", app+path, ""))
		want(t, 200, s.Do(formatstest.Reader, "GET", dist["tarball"].(string), ""), "tarball")

		publish(t, s, app, name, "2.0.0", "latest", []byte("another"))
		want(t, 404, s.Do(formatstest.Reader, "GET", app+strings.Replace(path, "@1.0.0", "@2.0.0", 1), ""))
	}
}

func TestPublish_InvalidProvenance(t *testing.T) {
	s, app := start(t)
	tarball := []byte("tarball")
	sum := sha512.Sum512(tarball)
	digest := hex.EncodeToString(sum[:])
	good := func() object { return bundle(t, "pkg:npm/lib@1.0.0", digest) }
	envelope := func(change func(b, envelope object)) string {
		b := good()
		change(b, b["dsseEnvelope"].(object))
		return encode(t, b)
	}
	for what, c := range map[string]struct{ bundle, text string }{
		"no JSON":           {"x", "not a Sigstore bundle"},
		"another type":      {`{"mediaType":"x"}`, "media type"},
		"another payload":   {envelope(func(_, e object) { e["payloadType"] = "text/plain" }), "in-toto"},
		"no certificate":    {envelope(func(b, _ object) { b["verificationMaterial"] = object{} }), "certificate"},
		"a bad certificate": {envelope(func(b, _ object) { b["verificationMaterial"] = object{"certificate": object{"rawBytes": []byte("x")}} }), "certificate"},
		"no signature":      {envelope(func(_, e object) { e["signatures"] = []object{} }), "signature is wrong"},
		"a changed payload": {envelope(func(_, e object) { e["payload"] = append([]byte(" "), e["payload"].([]byte)...) }), "signature is wrong"},
		"another version":   {encode(t, bundle(t, "pkg:npm/lib@2.0.0", digest)), "subject is not pkg:npm/lib@1.0.0"},
		"another tarball":   {encode(t, bundle(t, "pkg:npm/lib@1.0.0", strings.Repeat("0", 128))), "another tarball"},
		"a large one":       {strings.Repeat("x", 1<<20+1), "larger"},
	} {
		want(t, 400, s.Do(formatstest.Admin, "PUT", app+"lib", attached(t, document("lib", "1.0.0", "latest", tarball), "lib", "1.0.0", c.bundle)), c.text, "--provenance=false")
		if n := s.Objects(); n != 0 {
			t.Errorf("%s: %d objects are left behind", what, n)
		}
	}
}
