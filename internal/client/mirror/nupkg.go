package mirror

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/gatehouse-registry/gatehouse/internal/client/lockedversions"
)

// nugetHash is the contentHash that NuGet's lock files have of a held package: of its bytes
// without the signature.
func (m *Mirror) nugetHash(ctx context.Context, v *lockedversions.Version, name string) (string, error) {
	body, err := m.open(ctx, v, name)
	if err != nil {
		return "", err
	}
	defer body.Close()
	return nupkgHash(body)
}

// nupkgHash hashes a package that is being read. It keeps it in a temporary file meanwhile.
func nupkgHash(body io.Reader) (string, error) {
	f, err := os.CreateTemp("", "gatehouse-nupkg-")
	if err != nil {
		return "", err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	size, err := io.Copy(f, body)
	if err != nil {
		return "", err
	}
	return contentHash(f, size)
}

// signature is the entry of a signed package that its signature is in.
const signature = ".signature.p7s"

const (
	endRecord     = 22 // bytes of the end of the central directory, without a comment
	centralRecord = 46 // bytes of an entry of the central directory, without its texts
	maxDirectory  = 64 << 20
)

var errNupkg = errors.New("the package is not a ZIP archive as NuGet writes them")

// contentHash is the SHA-512 of a package as it was before it was signed: without the last
// entry, which has the signature, and with a central directory that does not have it either
// (NuGet package signing specification, "Package integrity"). If the package is not
// signed, it is the SHA-512 of all bytes.
func contentHash(r io.ReaderAt, size int64) (string, error) {
	h := sha512.New()
	end := make([]byte, endRecord)
	if size < endRecord {
		return "", errNupkg
	}
	if _, err := r.ReadAt(end, size-endRecord); err != nil {
		return "", err
	}
	whole := func() (string, error) {
		_, err := io.Copy(h, io.NewSectionReader(r, 0, size))
		return fmt.Sprintf("%x", h.Sum(nil)), err
	}
	if !bytes.HasPrefix(end, []byte("PK\x05\x06")) { // with a comment: not signed
		return whole()
	}
	length, start := int64(binary.LittleEndian.Uint32(end[12:])), int64(binary.LittleEndian.Uint32(end[16:]))
	if length > maxDirectory || start+length+endRecord != size {
		return whole()
	}
	directory := make([]byte, length)
	if _, err := r.ReadAt(directory, start); err != nil {
		return "", err
	}
	signed, at, err := signatureEntry(directory)
	if err != nil {
		return "", err
	}
	if signed == nil {
		return whole()
	}
	// The bytes of the entry end where the next entry, or the directory, begins.
	from, to := int64(binary.LittleEndian.Uint32(signed[42:])), start
	rest := append(bytes.Clone(directory[:at]), directory[at+len(signed):]...)
	err = records(rest, func(_ int, record []byte) {
		if offset := int64(binary.LittleEndian.Uint32(record[42:])); offset > from {
			to = min(to, offset)
		}
	})
	if err != nil || from > to {
		return "", errNupkg
	}
	err = records(rest, func(_ int, record []byte) {
		if offset := int64(binary.LittleEndian.Uint32(record[42:])); offset > from {
			binary.LittleEndian.PutUint32(record[42:], uint32(offset-(to-from)))
		}
	})
	if err != nil {
		return "", err
	}
	entries := binary.LittleEndian.Uint16(end[10:]) - 1
	binary.LittleEndian.PutUint16(end[8:], entries)
	binary.LittleEndian.PutUint16(end[10:], entries)
	binary.LittleEndian.PutUint32(end[12:], uint32(len(rest)))
	binary.LittleEndian.PutUint32(end[16:], uint32(start-(to-from)))
	_, err = io.Copy(h, io.MultiReader(io.NewSectionReader(r, 0, from), io.NewSectionReader(r, to, start-to), bytes.NewReader(rest), bytes.NewReader(end)))
	return fmt.Sprintf("%x", h.Sum(nil)), err
}

// signatureEntry returns the entry of the signature and where it is in the directory, or nil.
func signatureEntry(directory []byte) (entry []byte, at int, err error) {
	err = records(directory, func(offset int, record []byte) {
		name := record[centralRecord:]
		if string(name[:min(len(name), int(binary.LittleEndian.Uint16(record[28:])))]) == signature {
			entry, at = record, offset
		}
	})
	return entry, at, err
}

// records calls visit for each entry of a central directory.
func records(directory []byte, visit func(offset int, record []byte)) error {
	for offset := 0; offset < len(directory); {
		rest := directory[offset:]
		if len(rest) < centralRecord || !bytes.HasPrefix(rest, []byte("PK\x01\x02")) {
			return errNupkg
		}
		length := centralRecord + int(binary.LittleEndian.Uint16(rest[28:])) + int(binary.LittleEndian.Uint16(rest[30:])) + int(binary.LittleEndian.Uint16(rest[32:]))
		if length > len(rest) {
			return errNupkg
		}
		visit(offset, rest[:length])
		offset += length
	}
	return nil
}
