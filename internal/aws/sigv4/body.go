package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"net/http"
	"strings"
)

type digest = [sha256.Size]byte

// payloadHash returns the SHA-256 that the client must have signed: the hash of
// the body or, if the body is read later, the one in X-Amz-Content-Sha256.
func payloadHash(r *http.Request, body []byte) (digest, error) {
	for _, coding := range r.Header["Content-Encoding"] {
		if strings.Contains(strings.ToLower(coding), "aws-chunked") {
			return digest{}, fail(Unsupported, "Bodies in the aws-chunked encoding are not accepted.")
		}
	}
	claimed, err := singleValue(r, "X-Amz-Content-Sha256")
	if err != nil {
		return digest{}, err
	}
	var named digest
	if claimed != "" {
		if named, err = parseDigest(claimed); err != nil {
			return digest{}, err
		}
	} else if body == nil {
		return digest{}, fail(Incomplete, "The request needs the header X-Amz-Content-Sha256 with the SHA-256 of its body.")
	}
	if body == nil {
		return named, nil
	}
	sum := sha256.Sum256(body)
	if claimed != "" && sum != named {
		return digest{}, bodyMismatch()
	}
	return sum, nil
}

func parseDigest(text string) (d digest, err error) {
	if text == "UNSIGNED-PAYLOAD" || strings.HasPrefix(text, "STREAMING-") {
		return d, fail(Unsupported, "X-Amz-Content-Sha256 must be the SHA-256 of the body: %s is not accepted.", text[:min(len(text), 64)])
	}
	if len(text) == hex.EncodedLen(len(d)) && text == strings.ToLower(text) {
		if _, err = hex.Decode(d[:], []byte(text)); err == nil {
			return d, nil
		}
	}
	return digest{}, fail(Incomplete, "X-Amz-Content-Sha256 must be 64 hexadecimal digits in lower case.")
}

func bodyMismatch() *Error {
	return fail(BodyMismatch, "X-Amz-Content-Sha256 is not the SHA-256 of the body.")
}

// verifiedBody hashes a body while it is read.
type verifiedBody struct {
	body io.ReadCloser
	hash hash.Hash
	want digest
}

func newVerifiedBody(body io.ReadCloser, want digest) *verifiedBody {
	if body == nil {
		body = http.NoBody
	}
	return &verifiedBody{body, sha256.New(), want}
}

func (b *verifiedBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	b.hash.Write(p[:n])
	if err == io.EOF && digest(b.hash.Sum(nil)) != b.want {
		err = bodyMismatch()
	}
	return n, err
}

func (b *verifiedBody) Close() error { return b.body.Close() }
