package ociremote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
)

const (
	// chunkSize is how many bytes of a blob one request has, which are in memory. Amazon
	// ECR wants at least 5 MiB, except of the last one.
	chunkSize = 8 << 20
	// maxSendFailures is how often in a row an upload may fail without any progress.
	maxSendFailures = 5
	// firstPause is how long it waits after the first failure. It doubles for each further.
	firstPause = 100 * time.Millisecond
	// maxPause is the longest pause of a registry's that an upload waits for.
	maxPause = 30 * time.Second
)

// pushScope is what a token must allow to write a repository.
func pushScope(name string) string { return pullScope(name) + ",push" }

// ErrorCode returns the code of the specification with which the registry refused a request,
// such as NAME_UNKNOWN, and the code of the fault if the registry is a Gatehouse. Both may be
// empty.
func ErrorCode(err error) (code, detail string) {
	var failed *egress.Error
	if !errors.As(err, &failed) || len(failed.Body) == 0 {
		return "", ""
	}
	var list struct {
		Errors []struct {
			Code   string          `json:"code"`
			Detail json.RawMessage `json:"detail"`
		} `json:"errors"`
	}
	if json.Unmarshal(failed.Body, &list) != nil || len(list.Errors) == 0 {
		return "", ""
	}
	var d struct {
		Code string `json:"code"`
	}
	_ = json.Unmarshal(list.Errors[0].Detail, &d) // other registries have other details
	return list.Errors[0].Code, d.Code
}

// write sends a request that changes a repository.
func (r *Registry) write(ctx context.Context, name string, req egress.Request) (*egress.Response, error) {
	req.MaxBytes, req.MaxErrorBytes = maxDocument, maxDocument
	res, err := r.do(ctx, req, pushScope(name))
	if err != nil {
		return nil, err
	}
	_, _ = io.Copy(io.Discard, res.Body) // the header has what matters
	return res, res.Body.Close()
}

// PutManifest stores a manifest under a tag or its digest.
func (r *Registry) PutManifest(ctx context.Context, name, reference string, m *Manifest) error {
	res, err := r.write(ctx, name, egress.Request{
		Method: http.MethodPut, URL: "v2/" + name + "/manifests/" + reference, Header: http.Header{"Content-Type": {m.MediaType}}, Body: m.Body,
	})
	if err != nil {
		return err
	}
	return checkStored(res, m.Digest)
}

// checkStored checks that the registry says that it has stored something, and compares the
// digest. The specification wants the status 201. A proxy that answers everything with a page
// of its own sends another one.
func checkStored(res *egress.Response, want digest.Digest) error {
	if res.Status != http.StatusCreated {
		return &BadAnswer{fmt.Sprintf("it answers %d instead of %d to what it should store", res.Status, http.StatusCreated)}
	}
	got := digest.Digest(res.Header.Get("Docker-Content-Digest"))
	if got.Validate() == nil && got.Algorithm() == want.Algorithm() && got != want {
		return &BadAnswer{fmt.Sprintf("it has stored %s instead of %s", got, want)}
	}
	return nil
}

// HeadManifest is [Registry.Head] for a registry that is written to: with the same token as
// the other requests. found is false if the registry does not have the manifest.
func (r *Registry) HeadManifest(ctx context.Context, name, reference string) (d digest.Digest, found bool, err error) {
	res, err := r.write(ctx, name, egress.Request{Method: http.MethodHead, URL: "v2/" + name + "/manifests/" + reference, Header: manifestHeader()})
	if IsNotFound(err) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	d = digest.Digest(res.Header.Get("Docker-Content-Digest"))
	if d.Validate() != nil {
		return "", false, &BadAnswer{"it does not say the digest of the manifest " + reference}
	}
	return d, true, nil
}

// A Blob is one that is to be stored.
type Blob struct {
	Digest digest.Digest
	Size   int64
	// Open returns the bytes from an offset on.
	Open func(ctx context.Context, offset int64) (io.ReadCloser, error)
	// MountFrom is another repository of the registry that may have it, or empty.
	MountFrom string
}

// PutBlob stores a blob, unless the repository has it.
func (r *Registry) PutBlob(ctx context.Context, name string, b Blob) error {
	has, err := r.hasBlob(ctx, name, b.Digest)
	if err != nil || has {
		return err
	}
	return (&blobUpload{r: r, name: name, Blob: b}).send(ctx)
}

func (r *Registry) hasBlob(ctx context.Context, name string, d digest.Digest) (bool, error) {
	_, err := r.write(ctx, name, egress.Request{Method: http.MethodHead, URL: "v2/" + name + "/blobs/" + string(d)})
	if IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// A blobUpload is an upload session.
type blobUpload struct {
	Blob
	r        *Registry
	name     string
	location *url.URL // where the next request goes; nil before the session begins
	offset   int64    // bytes that the registry has
}

// start begins a session, or mounts the blob.
func (u *blobUpload) start(ctx context.Context) (mounted bool, err error) {
	address := "v2/" + u.name + "/blobs/uploads/"
	if u.MountFrom != "" {
		address += "?" + url.Values{"mount": {string(u.Digest)}, "from": {u.MountFrom}}.Encode()
	}
	res, err := u.r.write(ctx, u.name, egress.Request{Method: http.MethodPost, URL: address, Body: []byte{}})
	if err != nil {
		return false, err
	}
	if res.Status == http.StatusCreated {
		return true, checkStored(res, u.Digest)
	}
	u.offset = 0
	return false, u.follow(res)
}

// follow takes over where the next request goes. It must stay at the registry, since it gets
// the token.
func (u *blobUpload) follow(res *egress.Response) error {
	text := res.Header.Get("Location")
	if text == "" && u.location != nil {
		return nil
	}
	from, err := url.Parse(res.URL)
	if err != nil {
		return err
	}
	to, err := from.Parse(text)
	if err != nil || text == "" || to.Scheme != from.Scheme || to.Host != from.Host {
		return &BadAnswer{"it does not say where an upload goes on, or names another host"}
	}
	u.location = to
	return nil
}

// send sends the bytes. After a failure it asks what has arrived, and goes on there. Only what
// the registry never had before is progress: a registry that loses what it has taken, again
// and again, must not get the bytes for ever.
func (u *blobUpload) send(ctx context.Context) error {
	most := int64(0)
	for failures := 0; ; {
		err := u.try(ctx)
		if err == nil || !passes(err) {
			return err
		}
		if u.offset > most {
			most, failures = u.offset, 0
		}
		if failures++; failures >= maxSendFailures {
			return err
		}
		if waitErr := pause(ctx, err, firstPause<<(failures-1)); waitErr != nil {
			return err
		}
		stored, err := u.resume(ctx)
		if stored || err != nil && !passes(err) {
			return err
		}
	}
}

// try begins the session, if there is none, and sends what is missing.
func (u *blobUpload) try(ctx context.Context) error {
	if u.location == nil {
		if mounted, err := u.start(ctx); err != nil || mounted {
			return err
		}
	}
	return u.sendRest(ctx)
}

// passes reports whether a failure of an upload may be over soon.
func passes(err error) bool {
	var failed *egress.Error
	if !errors.As(err, &failed) {
		return false
	}
	switch failed.Kind {
	case egress.Unreachable, egress.TimedOut, egress.Interrupted, egress.Busy:
		return true
	case egress.Throttled:
		return failed.RetryAfter <= maxPause
	case egress.Answered:
		code, _ := ErrorCode(err)
		return failed.Status >= 500 && failed.Status != http.StatusInsufficientStorage || failed.Status == http.StatusRequestTimeout ||
			failed.Status == http.StatusRequestedRangeNotSatisfiable || code == "BLOB_UPLOAD_INVALID" || code == "BLOB_UPLOAD_UNKNOWN"
	}
	return false
}

// pause waits for d, or for the pause that the registry wants.
func pause(ctx context.Context, err error, d time.Duration) error {
	var failed *egress.Error
	if errors.As(err, &failed) {
		d = max(d, failed.RetryAfter)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// resume finds out what has arrived. stored is true if that is the whole blob. A session that
// the registry does not know any more is begun anew.
func (u *blobUpload) resume(ctx context.Context) (stored bool, err error) {
	if stored, err := u.r.hasBlob(ctx, u.name, u.Digest); err != nil || stored { // the last answer was lost
		return stored, err
	}
	if u.location == nil {
		return false, nil
	}
	res, err := u.r.write(ctx, u.name, egress.Request{URL: u.location.String()})
	if IsNotFound(err) {
		u.location = nil
		return false, nil
	}
	if err != nil {
		return false, err
	}
	_, last, _ := strings.Cut(res.Header.Get("Range"), "-")
	n, err := strconv.ParseInt(last, 10, 64)
	if err != nil || n <= 0 { // 0-0 is nothing, or one byte
		u.location = nil
		return false, nil
	}
	if n >= u.Size {
		return false, &BadAnswer{fmt.Sprintf("it has %d bytes of an upload of %d", n+1, u.Size)}
	}
	u.offset = n + 1
	return false, u.follow(res)
}

// sendRest sends what is missing.
func (u *blobUpload) sendRest(ctx context.Context) error {
	body, err := u.Open(ctx, u.offset)
	if err != nil {
		return err
	}
	defer body.Close()
	buffer := make([]byte, min(chunkSize, u.Size-u.offset))
	for {
		chunk := buffer[:min(int64(len(buffer)), u.Size-u.offset)]
		if _, err := io.ReadFull(body, chunk); err != nil {
			return fmt.Errorf("read the blob %s: %w", u.Digest, err)
		}
		if u.offset+int64(len(chunk)) == u.Size {
			return u.finish(ctx, chunk)
		}
		res, err := u.r.write(ctx, u.name, egress.Request{Method: http.MethodPatch, URL: u.location.String(), Header: u.chunkHeader(chunk), Body: chunk})
		if err != nil {
			return err
		}
		u.offset += int64(len(chunk))
		if err := u.follow(res); err != nil {
			return err
		}
	}
}

func (u *blobUpload) chunkHeader(chunk []byte) http.Header {
	h := http.Header{"Content-Type": {"application/octet-stream"}}
	if len(chunk) > 0 {
		h.Set("Content-Range", fmt.Sprintf("%d-%d", u.offset, u.offset+int64(len(chunk))-1))
	}
	return h
}

// finish sends the last chunk and names the digest.
func (u *blobUpload) finish(ctx context.Context, chunk []byte) error {
	to := *u.location
	query := to.Query()
	query.Set("digest", string(u.Digest))
	to.RawQuery = query.Encode()
	res, err := u.r.write(ctx, u.name, egress.Request{Method: http.MethodPut, URL: to.String(), Header: u.chunkHeader(chunk), Body: chunk})
	if err != nil {
		return err
	}
	return checkStored(res, u.Digest)
}
