package formats_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
)

func TestParseChecksumName(t *testing.T) {
	for name, want := range map[string]struct {
		file      string
		algorithm formats.Algorithm
	}{
		"lib-1.0.jar.sha1": {"lib-1.0.jar", formats.SHA1}, "lib.jar.md5": {"lib.jar", formats.MD5}, "x.sha256": {"x", formats.SHA256},
		"x.asc.sha512": {"x.asc", formats.SHA512}, "x.sha1.md5": {"x.sha1", formats.MD5},
		"lib.jar": {}, "sha1": {}, ".sha1": {}, "x.SHA1": {}, "x.": {}, "": {},
	} {
		file, algorithm, ok := formats.ParseChecksumName(name)
		if file != want.file || algorithm != want.algorithm || ok != (want.file != "") {
			t.Errorf("%q: %q, %q, %v", name, file, algorithm, ok)
		}
	}
}

func TestSums(t *testing.T) {
	s := formats.SumsOf([]byte("hello"))
	if s.MD5 != "5d41402abc4b2a76b9719d911017c592" || s.SHA1 != "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d" || len(s.SHA256) != 64 || len(s.SHA512) != 128 {
		t.Error(s)
	}
	w := httptest.NewRecorder()
	formats.ServeChecksum(w, httptest.NewRequest("GET", "/", nil), s, formats.SHA1)
	if w.Body.String() != s.SHA1 || w.Header().Get("Content-Length") != "40" {
		t.Error(w.Body, w.Header())
	}
	h := http.Header{}
	s.SetChecksums(h)
	if h.Get("X-Checksum-SHA1") != s.SHA1 || h.Get("X-Checksum-MD5") != s.MD5 || h.Get("X-Checksum-SHA256") != s.SHA256 || h.Get("X-Checksum-SHA512") != s.SHA512 {
		t.Error(h)
	}
}

func TestSums_CheckSent(t *testing.T) {
	s := formats.SumsOf([]byte("hello"))
	for sent, want := range map[string]string{
		s.SHA1: "", s.SHA1 + "\n": "", strings.ToUpper(s.SHA1): "", s.SHA1 + "  lib.jar\n": "",
		s.MD5: "InvalidChecksum", "": "InvalidChecksum", strings.Repeat("x", 5000): "ChecksumTooLarge",
	} {
		err := s.CheckSent(formats.SHA1, "lib.jar", strings.NewReader(sent))
		if want == "" && err != nil || want != "" && !fault.Is(err, want) {
			t.Errorf("%.50q: %v", sent, err)
		}
	}
}
