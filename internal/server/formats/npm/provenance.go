package npm

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/npm/packument"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// `npm publish --provenance` attaches a Sigstore bundle: a signed statement that names
// the tarball and says how it was built. The bundle is kept beside the tarball and
// served as the public registry does. Accepted is only a bundle whose statement names
// this tarball and whose signature fits the certificate in it. Whether Sigstore issued
// the certificate is not checked here, because that needs keys that change:
// `npm audit signatures` checks it.

const (
	// provenanceName is the name of the sidecar that has a version's bundle.
	provenanceName = packument.AssetName + ".sigstore"
	// maxProvenance bounds the size of a bundle, in bytes.
	maxProvenance = 1 << 20

	statementType = "application/vnd.in-toto+json"
)

// isProvenance reports whether an attachment is a provenance statement by its name.
func isProvenance(file string) bool { return strings.HasSuffix(file, ".sigstore") }

// A sigstoreBundle is the part of a bundle that is checked (sigstore/protobuf-specs,
// sigstore_bundle.proto).
type sigstoreBundle struct {
	MediaType            string `json:"mediaType"`
	VerificationMaterial struct {
		Certificate          rawCertificate `json:"certificate"`
		X509CertificateChain struct {
			Certificates []rawCertificate `json:"certificates"`
		} `json:"x509CertificateChain"`
	} `json:"verificationMaterial"`
	DSSEEnvelope struct {
		Payload     []byte `json:"payload"`
		PayloadType string `json:"payloadType"`
		Signatures  []struct {
			Sig []byte `json:"sig"`
		} `json:"signatures"`
	} `json:"dsseEnvelope"`
}

type rawCertificate struct {
	RawBytes []byte `json:"rawBytes"` // DER
}

// A provenanceStatement is the part of an in-toto statement that is checked.
type provenanceStatement struct {
	PredicateType string `json:"predicateType"`
	Subject       []struct {
		Name   string            `json:"name"`
		Digest map[string]string `json:"digest"`
	} `json:"subject"`
}

// checkProvenance checks a bundle and returns the type of its statement.
func checkProvenance(data []byte, id packages.PackageID, version, sha512 string) (predicateType string, err error) {
	refused := func(format string, args ...any) error {
		return fault.New(fault.Invalid, "InvalidProvenance", "The provenance statement of %s@%s is not accepted: %s. Publish with --provenance=false to leave it out.",
			packument.FullName(id), version, fmt.Sprintf(format, args...))
	}
	if len(data) > maxProvenance {
		return "", refused("it is larger than %d KiB", maxProvenance>>10)
	}
	var b sigstoreBundle
	if err := json.Unmarshal(data, &b); err != nil {
		return "", refused("it is not a Sigstore bundle")
	}
	if !strings.HasPrefix(b.MediaType, "application/vnd.dev.sigstore.bundle") {
		return "", refused("its media type is %q and not that of a Sigstore bundle", b.MediaType)
	}
	if b.DSSEEnvelope.PayloadType != statementType {
		return "", refused("its payload is %q and not an in-toto statement", b.DSSEEnvelope.PayloadType)
	}
	if err := b.checkSignature(); err != nil {
		return "", refused("%v", err)
	}
	var s provenanceStatement
	if err := json.Unmarshal(b.DSSEEnvelope.Payload, &s); err != nil {
		return "", refused("its payload is not an in-toto statement")
	}
	want := "pkg:npm/" + strings.Replace(packument.FullName(id), "@", "%40", 1) + "@" + version
	if len(s.Subject) != 1 || s.Subject[0].Name != want {
		return "", refused("its subject is not %s", want)
	}
	if !strings.EqualFold(s.Subject[0].Digest["sha512"], sha512) {
		return "", refused("its subject is another tarball, not the one that arrived")
	}
	if _, err := url.ParseRequestURI(s.PredicateType); err != nil {
		return "", refused("it has no predicateType")
	}
	return s.PredicateType, nil
}

// checkSignature verifies the envelope's signature with the certificate of the bundle
// (DSSE, "Protocol").
func (b *sigstoreBundle) checkSignature() error {
	der := b.VerificationMaterial.Certificate.RawBytes
	if chain := b.VerificationMaterial.X509CertificateChain.Certificates; len(der) == 0 && len(chain) > 0 {
		der = chain[0].RawBytes
	}
	if len(der) == 0 {
		return errors.New("it has no certificate")
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return errors.New("its certificate cannot be read")
	}
	key, ok := certificate.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return errors.New("its certificate does not have an ECDSA key")
	}
	e := &b.DSSEEnvelope
	signed := sha256.Sum256(fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(e.PayloadType), e.PayloadType, len(e.Payload), e.Payload))
	for _, s := range e.Signatures {
		if ecdsa.VerifyASN1(key, signed[:], s.Sig) {
			return nil
		}
	}
	return errors.New("its signature is wrong")
}

// provenance returns the name of the provenance attachment, or "".
func (doc *sentDocument) provenance() (string, error) {
	var files []string
	for file := range doc.Attachments {
		if isProvenance(file) {
			files = append(files, file)
		}
	}
	if len(files) > 1 {
		slices.Sort(files)
		return "", fault.New(fault.Invalid, "InvalidDocument", "The document has more than one provenance statement: %s.", strings.Join(files, ", "))
	}
	return strings.Join(files, ""), nil
}

// addProvenance checks the provenance statement of the document, if it has one, and
// adds it to the publication.
func (h *Handler) addProvenance(ctx context.Context, doc *sentDocument, p *packages.Publication, tarballSHA512 string) error {
	file, err := doc.provenance()
	if err != nil || file == "" {
		return err
	}
	data := doc.Attachments[file].Data
	predicateType, err := checkProvenance([]byte(data), p.Package, p.Version, tarballSHA512)
	if err != nil {
		return err
	}
	content, err := h.Packages.Stage(ctx, p.Repository, p.Package, strings.NewReader(data), maxProvenance)
	if err != nil {
		return err
	}
	about, err := json.Marshal(provenanceMetadata{predicateType})
	if err != nil {
		content.Discard()
		return err
	}
	p.Assets = append(p.Assets, packages.StagedAsset{Name: provenanceName, Beside: packument.AssetName, Content: content, Metadata: about})
	return nil
}

// provenanceMetadata is what this package keeps in the metadata of a bundle.
type provenanceMetadata struct {
	PredicateType string `json:"predicateType"`
}

func predicateType(a *packages.Asset) string {
	var m provenanceMetadata
	if err := json.Unmarshal(a.Metadata, &m); err != nil {
		return ""
	}
	return m.PredicateType
}

// getAttestations answers the provenance of a version. That of a version of an upstream is
// read there.
func (h *Handler) getAttestations(w http.ResponseWriter, r *formats.Request, rt route) error {
	r.About(rt.id, rt.arg)
	p, err := h.Packages.Package(r.Context(), r.Repository, rt.id)
	if err != nil {
		return err
	}
	if v := p.Version(rt.arg); v != nil && v.External() {
		return h.getUpstreamAttestations(w, r, rt.id, v)
	}
	asset, content, err := h.Packages.OpenAsset(r.Context(), r.Repository, rt.id, rt.arg, provenanceName)
	if err != nil {
		return err
	}
	defer content.Close()
	bundle, err := io.ReadAll(io.LimitReader(content, maxProvenance))
	if err != nil {
		return err
	}
	type attestation struct {
		PredicateType string          `json:"predicateType"`
		Bundle        json.RawMessage `json:"bundle"`
	}
	out, err := json.Marshal(map[string][]attestation{"attestations": {{predicateType(&asset), bundle}}})
	if err != nil {
		return err
	}
	writeJSON(w, r, http.StatusOK, out)
	return nil
}

func (h *Handler) getUpstreamAttestations(w http.ResponseWriter, r *formats.Request, id packages.PackageID, v *packages.Version) error {
	address, err := upstreamAttestations(v)
	if err != nil {
		return err
	}
	if address == "" {
		return fault.New(fault.NotFound, "ResourceNotFound", "%s@%s has no attestations.", packument.FullName(id), v.Version)
	}
	body, err := h.Packages.VersionDocument(r.Context(), r.Repository, id, v.Version, packument.AssetName, packages.Attestations, address)
	if err != nil {
		return err
	}
	writeJSON(w, r, http.StatusOK, body)
	return nil
}

// upstreamAttestations returns where an upstream has the attestations of a version, or "".
func upstreamAttestations(v *packages.Version) (string, error) {
	manifest, err := packument.ParseObject(v.Metadata)
	if err != nil {
		return "", err
	}
	dist, err := packument.ParseObject(manifest.Get("dist"))
	if err != nil {
		return "", err
	}
	about, err := packument.ParseObject(dist.Get("attestations"))
	if err != nil {
		return "", nil // not what the member is: there are none
	}
	return packument.StringValue(about.Get("url")), nil
}

// getKeys answers the public keys with which the upstream signs its versions, for npm audit
// signatures.
func (h *Handler) getKeys(w http.ResponseWriter, r *formats.Request, _ route) error {
	body, err := h.Packages.ConnectionDocument(r.Context(), r.Repository, packages.NPM, packages.SigningKeys)
	if err != nil {
		return err
	}
	writeJSON(w, r, http.StatusOK, body)
	return nil
}

// attestationsURL is the address in dist.attestations. npm takes only its path and
// appends that to the address of the registry, so the path is relative to the endpoint.
func attestationsURL(base string, id packages.PackageID, version string) string {
	u, err := url.Parse(base)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host + "/" + route{kind: attestations, id: id, arg: version}.path()
}
