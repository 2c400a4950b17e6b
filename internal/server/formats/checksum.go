package formats

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// An Algorithm is a hash algorithm, named as the extension of checksum files.
type Algorithm string

// The algorithms.
const (
	MD5    Algorithm = "md5"
	SHA1   Algorithm = "sha1"
	SHA256 Algorithm = "sha256"
	SHA512 Algorithm = "sha512"
)

// Sums are the hashes of a file or a document, in lower-case hex.
type Sums struct{ MD5, SHA1, SHA256, SHA512 string }

// AssetSums are the hashes of an asset.
func AssetSums(a packages.Asset) Sums { return Sums{a.MD5, a.SHA1, a.SHA256, a.SHA512} }

// StagedSums are the hashes of staged content.
func StagedSums(s *packages.Staged) Sums { return Sums{s.MD5, s.SHA1, s.SHA256, s.SHA512} }

// SumsOf computes the hashes of content.
func SumsOf(content []byte) Sums {
	m, s1, s256, s512 := md5.Sum(content), sha1.Sum(content), sha256.Sum256(content), sha512.Sum512(content)
	return Sums{hex.EncodeToString(m[:]), hex.EncodeToString(s1[:]), hex.EncodeToString(s256[:]), hex.EncodeToString(s512[:])}
}

// Get returns the hash of an algorithm.
func (s Sums) Get(a Algorithm) string {
	switch a {
	case MD5:
		return s.MD5
	case SHA1:
		return s.SHA1
	case SHA256:
		return s.SHA256
	case SHA512:
		return s.SHA512
	}
	return ""
}

// ParseChecksumName splits the name of a checksum file: "lib-1.0.jar.sha1" is the SHA-1
// of lib-1.0.jar. ok is false for any other name.
func ParseChecksumName(name string) (file string, a Algorithm, ok bool) {
	i := strings.LastIndexByte(name, '.')
	if i <= 0 {
		return "", "", false
	}
	a = Algorithm(name[i+1:])
	if (Sums{"x", "x", "x", "x"}).Get(a) == "" {
		return "", "", false
	}
	return name[:i], a, true
}

// ServeChecksum answers a GET or HEAD of a checksum file: the hash alone, without a
// newline, as Maven's clients write it. They must revalidate it, because an asset may be
// deleted and published again.
func ServeChecksum(w http.ResponseWriter, r *http.Request, s Sums, a Algorithm) {
	NewDocument("text/plain; charset=utf-8", []byte(s.Get(a))).Serve(w, r)
}

// SetChecksums sets X-Checksum-Md5, -Sha1, -Sha256 and -Sha512 in the header of an
// answer, as far as they are known. Maven from 3.9 on then asks for no checksum file.
func (s Sums) SetChecksums(h http.Header) {
	for name, sum := range map[string]string{"Md5": s.MD5, "Sha1": s.SHA1, "Sha256": s.SHA256, "Sha512": s.SHA512} {
		if sum != "" {
			h.Set("X-Checksum-"+name, sum)
		}
	}
}

// maxChecksum bounds a checksum file, in bytes. Some tools write the name of the file
// after the hash.
const maxChecksum = 4 << 10

// CheckSent reads a checksum file that a client sends, and compares it with the hash of
// the named file. The error is a fault Invalid, InvalidChecksum, if they differ.
func (s Sums) CheckSent(a Algorithm, file string, body io.Reader) error {
	sent, err := io.ReadAll(io.LimitReader(body, maxChecksum+1))
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "IncompleteBody", "The checksum of %s ended before it was complete.", file)
	}
	if len(sent) > maxChecksum {
		return fault.New(fault.TooLarge, "ChecksumTooLarge", "The checksum of %s is larger than %d KiB.", file, maxChecksum>>10)
	}
	if fields := strings.Fields(string(sent)); len(fields) > 0 && strings.EqualFold(fields[0], s.Get(a)) {
		return nil
	}
	return fault.New(fault.Invalid, "InvalidChecksum", "The %s checksum that was sent for %s is not the checksum of its bytes, %s. Upload the file and its checksum again; sent was %s.",
		a, file, s.Get(a), strconv.Quote(truncated(string(sent), 2*len(s.SHA512))))
}

func truncated(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}
