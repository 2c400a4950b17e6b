package packagerepo

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/aws/smithy-go"

	"github.com/gatehouse-registry/gatehouse/internal/client/lockedversions"
	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
)

const (
	// attempts is how often a version is sent if the server or the network fails.
	attempts   = 4
	firstPause = time.Second // doubled with each attempt
)

// A Transfer is a version that is to be imported.
type Transfer struct {
	Record
	// Text is the record as JSON.
	Text []byte
	// Open opens the bytes of a file with a SHA-256. It is nil for one that is not at
	// hand, which the repository must have already. It is called several times.
	Open func(sha256 string) (func() (io.ReadCloser, error), bool)
}

// A DifferentError is a file that the repository has in this version with other bytes.
type DifferentError struct{ Version, File, Has, Want string }

func (e *DifferentError) Error() string {
	return fmt.Sprintf("%s has the file %s already with the SHA-256 %s, and not %s; it stays as it is", e.Version, e.File, e.Has, e.Want)
}

// Import adds a version, or what the repository lacks of it. held means that it has all of
// it already, so that nothing was sent.
func (r *Repository) Import(ctx context.Context, t *Transfer) (held bool, err error) {
	v := lockedversions.Version{Format: t.Format, Namespace: t.Namespace, Name: t.Name, Version: t.Version}
	has, revision, err := r.Assets(ctx, &v)
	if err != nil {
		return false, err
	}
	send, complete, err := t.missing(has)
	if err != nil || complete && revision == t.Revision {
		return err == nil, err
	}
	size, sum, err := t.measure(send)
	if err != nil {
		return false, err
	}
	return false, r.send(ctx, t, send, size, sum)
}

// missing returns the files that the repository does not have. Sidecars are not listed by
// the API, so they are sent whenever the version is. complete is true if nothing is
// missing.
func (t *Transfer) missing(has map[string]Asset) (send []int, complete bool, err error) {
	complete = true
	for i, f := range t.Files {
		if f.Beside == "" {
			switch a, ok := has[f.Name]; {
			case ok && a.SHA256 == f.SHA256:
				continue
			case ok:
				return nil, false, &DifferentError{t.String(), f.Name, a.SHA256, f.SHA256}
			}
			complete = false
		}
		if _, ok := t.Open(f.SHA256); ok {
			send = append(send, i)
		}
	}
	return send, complete, nil
}

func (r *Repository) send(ctx context.Context, t *Transfer, files []int, size int64, sum string) error {
	in := &operatormodel.ImportPackageVersionInput{
		Domain: r.Domain, DomainOwner: r.OwnerID(), Repository: r.Name,
		Format: t.Format, Namespace: Optional(t.Namespace), Package: t.Name, PackageVersion: t.Version,
	}
	for attempt := 1; ; attempt++ {
		body, w := io.Pipe()
		go func() { w.CloseWithError(t.write(w, files)) }()
		in.Content = body
		_, err := r.Operator.ImportPackageVersion(ctx, in, size, sum)
		body.Close() // ends the writer
		if err == nil || attempt == attempts || !isTemporary(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(firstPause << (attempt - 1)):
		}
	}
}

// isTemporary reports whether sending a version again may help.
func isTemporary(err error) bool {
	var answered smithy.APIError
	if !errors.As(err, &answered) {
		return true
	}
	return answered.ErrorFault() != smithy.FaultClient || answered.ErrorCode() == "ThrottlingException"
}

// IsDenied reports whether an error is about the caller, so that all other requests would
// have it as well.
func IsDenied(err error) bool {
	var refused smithy.APIError
	if !errors.As(err, &refused) {
		return false
	}
	for _, part := range []string{"AccessDenied", "Signature", "Token", "Credential", "Expired"} {
		if strings.Contains(refused.ErrorCode(), part) {
			return true
		}
	}
	return false
}

// measure returns the size and the SHA-256 of the archive, which signing needs.
func (t *Transfer) measure(files []int) (size int64, sum string, err error) {
	hash := sha256.New()
	counted := &counter{hash, 0}
	err = t.write(counted, files)
	return counted.n, hex.EncodeToString(hash.Sum(nil)), err
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// write writes the archive that ImportPackageVersion takes.
func (t *Transfer) write(w io.Writer, files []int) error {
	archive := tar.NewWriter(w)
	if err := archive.WriteHeader(&tar.Header{Name: operatormodel.RecordEntry, Mode: 0o644, Size: int64(len(t.Text))}); err != nil {
		return err
	}
	if _, err := archive.Write(t.Text); err != nil {
		return err
	}
	for _, i := range files {
		if err := t.writeFile(archive, &t.Files[i]); err != nil {
			return err
		}
	}
	return archive.Close()
}

func (t *Transfer) writeFile(archive *tar.Writer, f *FileRecord) error {
	open, _ := t.Open(f.SHA256)
	content, err := open()
	if err != nil {
		return err
	}
	defer content.Close()
	if err := archive.WriteHeader(&tar.Header{Name: operatormodel.FilesFolder + f.Name, Mode: 0o644, Size: f.Size}); err != nil {
		return err
	}
	if n, err := io.Copy(archive, content); err != nil || n != f.Size {
		return fmt.Errorf("%s has %d bytes, and its record says %d: %w", f.Name, n, f.Size, errors.Join(err, io.ErrUnexpectedEOF))
	}
	return nil
}
