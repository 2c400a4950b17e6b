package e2e

import (
	"archive/zip"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strings"
)

// sign signs a version as npm's registry does, and serves the public key: over
// NAME@VERSION:INTEGRITY, with ECDSA (npm docs, "registry signatures").
func (u *upstream) sign(name, version, integrity string) ([]map[string]string, error) {
	if u.signer == nil {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
		if err != nil {
			return nil, err
		}
		keys, err := json.Marshal(map[string]any{"keys": []map[string]any{{
			"expires": nil, "keyid": "SHA256:test", "keytype": "ecdsa-sha2-nistp256", "scheme": "ecdsa-sha2-nistp256", "key": base64.StdEncoding.EncodeToString(public),
		}}})
		if err != nil {
			return nil, err
		}
		u.put("/-/npm/v1/keys", "application/json", keys)
		u.signer = key
	}
	sum := sha256.Sum256([]byte(name + "@" + version + ":" + integrity))
	signature, err := ecdsa.SignASN1(rand.Reader, u.signer, sum[:])
	return []map[string]string{{"keyid": "SHA256:test", "sig": base64.StdEncoding.EncodeToString(signature)}}, err
}

// putSearch makes every search of npm find all packages.
func (u *upstream) putSearch() error {
	objects := []any{}
	for _, name := range slices.Sorted(maps.Keys(u.docs)) {
		if tags, ok := u.docs[name]["dist-tags"].(map[string]any); ok {
			objects = append(objects, map[string]any{"package": map[string]any{"name": name, "version": tags["latest"], "description": "of the upstream", "date": "2025-01-02T03:04:05.678Z"}})
		}
	}
	body, err := json.Marshal(map[string]any{"objects": objects, "total": len(objects)})
	if err == nil {
		u.put("/-/v1/search", "application/json", body)
	}
	return err
}

// putMetadata serves the core metadata of a wheel beside it, and returns their SHA-256.
func (u *upstream) putMetadata(at string, wheel []byte) (string, error) {
	z, err := zip.NewReader(bytes.NewReader(wheel), int64(len(wheel)))
	if err != nil {
		return "", err
	}
	for _, f := range z.File {
		if !strings.HasSuffix(f.Name, ".dist-info/METADATA") {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return "", err
		}
		text, err := io.ReadAll(r)
		if err != nil {
			return "", err
		}
		u.put(at+".metadata", "text/plain", text)
		sum := sha256.Sum256(text)
		return hex.EncodeToString(sum[:]), nil
	}
	return "", io.ErrUnexpectedEOF
}
