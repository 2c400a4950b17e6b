package bundle

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"
	"github.com/aws/smithy-go"
	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
)

// A Report says what became of the versions and images of a bundle.
type Report struct {
	// Imported are new, or changed; Held were there already.
	Imported, Held int
	// Failed says what was refused, and why.
	Failed []string

	mu sync.Mutex
}

func (r *Report) count(n *int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*n++
}

func (r *Report) fail(what string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Failed = append(r.Failed, what+": "+err.Error())
}

// importAttempts is how often a version is sent if the server or the network fails.
const importAttempts = 3

// Import brings the versions of the bundle to a repository. A version that the repository
// refuses is in the report; the others are imported all the same. It can be repeated: what
// is there is not sent again. step is called after each version.
func (b *Bundle) Import(ctx context.Context, r *Repository, report *Report, step func()) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	err := b.versions(func(v version) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		group.Go(func() error {
			defer step()
			err := b.importVersion(ctx, r, &v, report)
			var refused smithy.APIError
			switch {
			case err == nil:
				return nil
			case ctx.Err() != nil:
				return ctx.Err()
			case errors.As(err, &refused) && isDenied(refused.ErrorCode()):
				return fmt.Errorf("%s: %w", v.String(), err) // and so would all others be
			}
			report.fail(v.String(), err)
			return nil
		})
		return nil
	})
	if waited := group.Wait(); waited != nil {
		return waited
	}
	return err
}

// isDenied reports whether an error is about the caller, or the repository as a whole.
func isDenied(code string) bool {
	for _, part := range []string{"AccessDenied", "Signature", "Token", "Credential", "Expired"} {
		if strings.Contains(code, part) {
			return true
		}
	}
	return false
}

func (b *Bundle) importVersion(ctx context.Context, r *Repository, v *version, report *Report) error {
	held, revision, err := r.held(ctx, v)
	if err != nil {
		return err
	}
	send, complete := b.missing(v, held)
	if complete && revision == v.Revision {
		report.count(&report.Held)
		return nil
	}
	size, sum, err := b.measure(v, send)
	if err != nil {
		return err
	}
	in := &operatormodel.ImportPackageVersionInput{
		Domain: r.Domain, DomainOwner: r.owner(), Repository: r.Name,
		Format: v.Format, Namespace: optional(v.Namespace), Package: v.Name, PackageVersion: v.Version,
	}
	for attempt := 1; ; attempt++ {
		body, w := io.Pipe()
		go func() { w.CloseWithError(b.writeArchive(w, v, send)) }()
		in.Content = body
		_, err = r.Operator.ImportPackageVersion(ctx, in, size, sum)
		body.Close() // ends the writer
		var answered smithy.APIError
		if err == nil {
			report.count(&report.Imported)
			return nil
		}
		if errors.As(err, &answered) && answered.ErrorFault() == smithy.FaultClient && answered.ErrorCode() != "ThrottlingException" || attempt == importAttempts {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(attempt) * time.Second):
		}
	}
}

// held returns the assets of the version that the repository has, by name, and its revision.
func (r *Repository) held(ctx context.Context, v *version) (assets map[string]string, revision string, err error) {
	assets = map[string]string{}
	pages := codeartifact.NewListPackageVersionAssetsPaginator(r.API, &codeartifact.ListPackageVersionAssetsInput{
		Domain: &r.Domain, DomainOwner: r.owner(), Repository: &r.Name, Format: types.PackageFormat(v.Format),
		Namespace: optional(v.Namespace), Package: &v.Name, PackageVersion: &v.record.Version,
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		var missing *types.ResourceNotFoundException
		if errors.As(err, &missing) && missing.ResourceType != types.ResourceTypeRepository && missing.ResourceType != types.ResourceTypeDomain {
			return assets, "", nil
		}
		if err != nil {
			return nil, "", err
		}
		revision = aws.ToString(page.VersionRevision)
		for _, a := range page.Assets {
			assets[aws.ToString(a.Name)] = strings.ToLower(a.Hashes[string(types.HashAlgorithmSha256)])
		}
	}
	return assets, revision, nil
}

// missing returns the files of the bundle that the repository does not have. Sidecars are
// not listed by the API, so they are sent whenever the version is. complete is true if
// nothing is missing.
func (b *Bundle) missing(v *version, held map[string]string) (send []int, complete bool) {
	complete = true
	for i, f := range v.Files {
		if f.Beside == "" && held[f.Name] == f.SHA256 {
			continue
		}
		if f.Beside == "" {
			complete = false
		}
		if b.blob(f.SHA256) != nil { // otherwise an earlier bundle has brought it
			send = append(send, i)
		}
	}
	return send, complete
}

// measure returns the size and the SHA-256 of the archive of a version, which signing needs.
func (b *Bundle) measure(v *version, send []int) (size int64, sum string, err error) {
	hash := sha256.New()
	counted := &counter{hash, 0}
	err = b.writeArchive(counted, v, send)
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

// writeArchive writes the archive that ImportPackageVersion takes.
func (b *Bundle) writeArchive(w io.Writer, v *version, send []int) error {
	archive := tar.NewWriter(w)
	if err := archive.WriteHeader(&tar.Header{Name: operatormodel.RecordEntry, Mode: 0o644, Size: int64(len(v.text))}); err != nil {
		return err
	}
	if _, err := archive.Write(v.text); err != nil {
		return err
	}
	for _, i := range send {
		f := &v.Files[i]
		content := b.blob(f.SHA256)
		if err := archive.WriteHeader(&tar.Header{Name: operatormodel.FilesFolder + f.Name, Mode: 0o644, Size: content.Size()}); err != nil {
			return err
		}
		if _, err := io.Copy(archive, content); err != nil {
			return err
		}
	}
	return archive.Close()
}
