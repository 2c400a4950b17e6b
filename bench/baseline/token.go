package main

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	maxBody   = 1 << 20
	maxSkew   = 15 * time.Minute
	lifetime  = 12 * time.Hour
	algorithm = "AWS4-HMAC-SHA256"
)

// A tokenHandler does the least that a token service must do: it checks the
// signature of requests in the one form that the benchmark sends, and answers with
// an HMAC of the caller and the expiry. It is not a complete verifier.
type tokenHandler struct {
	secret   string
	tokenKey []byte
	keys     sync.Map // credential scope → signing key
}

func newTokenHandler(secret string) *tokenHandler {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // cannot fail
	return &tokenHandler{secret: secret, tokenKey: key}
}

type answer struct {
	AuthorizationToken string `json:"authorizationToken"`
	Expiration         int64  `json:"expiration"`
}

func (h *tokenHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "body too large", http.StatusRequestEntityTooLarge)
		return
	}
	caller, ok := h.verify(r, body)
	if !ok {
		http.Error(w, "signature does not match", http.StatusForbidden)
		return
	}
	expires := time.Now().Add(lifetime)
	claims := caller + "|" + expires.Format(time.RFC3339) + "|"
	token := claims + string(mac(h.tokenKey, claims))
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer{base64.RawURLEncoding.EncodeToString([]byte(token)), expires.Unix()})
}

// verify returns the access key id of a request that is signed as the AWS SDKs
// sign them: Signature Version 4 in the Authorization header, "AWS Signature
// Version 4 signing process" in the IAM User Guide.
func (h *tokenHandler) verify(r *http.Request, body []byte) (string, bool) {
	text, ok := strings.CutPrefix(r.Header.Get("Authorization"), algorithm+" Credential=")
	fields := strings.Split(text, ", ")
	if !ok || len(fields) != 3 {
		return "", false
	}
	caller, scope, _ := strings.Cut(fields[0], "/")
	names := strings.TrimPrefix(fields[1], "SignedHeaders=")
	signature, err := hex.DecodeString(strings.TrimPrefix(fields[2], "Signature="))
	date := r.Header.Get("X-Amz-Date")
	signed, dateErr := time.Parse("20060102T150405Z", date)
	if err != nil || dateErr != nil || time.Since(signed).Abs() > maxSkew {
		return "", false
	}
	key, ok := h.signingKey(scope)
	if !ok {
		return "", false
	}
	want := mac(key, algorithm+"\n"+date+"\n"+scope+"\n"+digest([]byte(canonical(r, names, body))))
	return caller, hmac.Equal(signature, want)
}

// canonical returns the canonical request. The path and the query must be canonical
// already.
func canonical(r *http.Request, names string, body []byte) string {
	var b strings.Builder
	b.WriteString(r.Method + "\n" + r.URL.EscapedPath() + "\n" + r.URL.RawQuery + "\n")
	for name := range strings.SplitSeq(names, ";") {
		value := r.Header.Get(name)
		if name == "host" {
			value = r.Host
		}
		b.WriteString(name + ":" + strings.TrimSpace(value) + "\n")
	}
	b.WriteString("\n" + names + "\n" + digest(body))
	return b.String()
}

func (h *tokenHandler) signingKey(scope string) ([]byte, bool) {
	if key, ok := h.keys.Load(scope); ok {
		return key.([]byte), true
	}
	key := []byte("AWS4" + h.secret)
	parts := strings.Split(scope, "/") // date, region, service, "aws4_request"
	if len(parts) != 4 {
		return nil, false
	}
	for _, part := range parts {
		key = mac(key, part)
	}
	h.keys.Store(scope, key)
	return key, true
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func mac(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}
