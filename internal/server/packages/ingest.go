package packages

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
)

// How a file of an external registry gets into the store.
//
// The first client that asks for it starts an ingestion. It downloads the file in the
// background, once for all clients, and stages it as a publication does. The clients read
// what has arrived (spool.go). When all bytes are there, they are compared with the hashes
// that the registry gave. Only if they are right, the rows are written, and only then the
// clients get the last bytes. So no client has a complete file that is wrong or that is
// not stored.

// waitForAll is the size in bytes up to which a client gets a file only when all of it is
// stored. Then a failure is answered with its reason, and not with a broken transfer.
const waitForAll = 256 << 10

// errStored means that a file is stored now.
var errStored = errors.New("the file is stored")

// An ingester is the part of a [Service] that downloads.
type ingester struct {
	remote   Remote
	spoolDir string
	log      *slog.Logger

	life       context.Context // of all downloads
	stop       context.CancelFunc
	running    sync.WaitGroup
	mu         sync.Mutex
	ingestions map[ingestionKey]*ingestion
	ingested   atomic.Uint64
	mismatches atomic.Uint64
}

func newIngester(c Config) *ingester {
	i := &ingester{remote: c.Remote, spoolDir: c.SpoolDir, log: c.Log, ingestions: map[ingestionKey]*ingestion{}}
	if i.log == nil {
		i.log = slog.New(slog.DiscardHandler)
	}
	i.life, i.stop = context.WithCancel(context.Background())
	return i
}

// Close ends the downloads that are under way.
func (s *Service) Close() error {
	s.stop()
	s.running.Wait()
	return nil
}

// IngestStats counts what came through external connections.
type IngestStats struct {
	// Files are those that were downloaded and kept.
	Files uint64
	// Mismatches are those that were not kept, because their bytes did not have the
	// hashes that the registry gave.
	Mismatches uint64
}

// Ingested returns the counters since the start, for metrics.
func (s *Service) Ingested() IngestStats {
	return IngestStats{s.ingested.Load(), s.mismatches.Load()}
}

// An ingestionKey names a file that a repository takes from its external connection.
type ingestionKey struct {
	cacheKey
	version, file string
}

func (k ingestionKey) String() string {
	return fmt.Sprintf("ingest %s %s %q %q %q %q", k.repository, k.format, k.namespace, k.name, k.version, k.file)
}

// An ingestion is the download of one file. Its fields may be read after started or done
// is closed.
type ingestion struct {
	repository *repository // the one with the connection
	asked      *repository // the one that the first client asked; the file is retained in it too
	id         PackageID
	version    *Version
	asset      *Asset

	spool   *spool
	started chan struct{} // closed when the size is known, and at the end
	begin   sync.Once
	size    int64 // -1: unknown
	done    chan struct{}
	err     error // after done; nil if the file is stored
}

// openRemote opens a file that is not stored yet. It returns errStored if the caller is to
// look the file up again.
func (s *Service) openRemote(ctx context.Context, r *repository, id PackageID, v *Version, a *Asset) (Asset, blob.Object, error) {
	from := s.snapshot.Load().repository(r.id.Domain.Repository(a.repository))
	if from == nil {
		return Asset{}, nil, assetNotFound(id, v.Version, a.Name) // deleted meanwhile
	}
	d := s.ingest(from, r, id, v, a)
	o := &incoming{ctx: ctx, d: d, finish: func() error {
		if from == r || d.asked == r {
			return nil
		}
		return s.retain(ctx, r, v, id, from.id.Name)
	}}
	wait := d.started
	for {
		select {
		case <-wait:
		case <-ctx.Done():
			o.Close()
			return Asset{}, nil, ctx.Err()
		}
		if wait == d.done {
			o.Close()
			if d.err != nil {
				return Asset{}, nil, d.err
			}
			return Asset{}, nil, errStored
		}
		if d.size > waitForAll {
			break
		}
		wait = d.done
	}
	found := *a
	found.Size = d.size
	found.download = s.newDownload(r, id, v, a)
	return found, o, nil
}

// ingest starts to download a file, or joins those who wait for it. The caller has a use
// of the spool. asked is the repository in which the caller wants the file.
func (s *Service) ingest(from, asked *repository, id PackageID, v *Version, a *Asset) *ingestion {
	key := ingestionKey{from.cacheKey(id), id.Format.versionKey(v.Version), a.Name}
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.ingestions[key]
	if d == nil {
		d = &ingestion{
			repository: from, asked: asked, id: id.canonical(), version: v, asset: a, size: -1,
			spool: newSpool(s.spoolDir), started: make(chan struct{}), done: make(chan struct{}),
		}
		s.ingestions[key] = d
		// The download does not end with the client who started it: others may wait, and
		// the client may come again.
		s.running.Go(func() { s.run(s.life, key, d) })
	}
	d.spool.use()
	return d
}

// fetchVersion stores an asset of a version that is only in an external registry, and the
// version with it.
func (s *Service) fetchVersion(ctx context.Context, r *repository, id PackageID, v *Version) error {
	if slices.ContainsFunc(v.Assets, func(a Asset) bool { return a.remote == nil }) {
		return nil
	}
	var a *Asset
	if len(v.Assets) > 0 {
		a = &v.Assets[0]
	} else {
		var err error
		if v, a, err = s.findUnlisted(ctx, r, id, v.Version, id.Format.rules().mainFile(id, v.Version)); err != nil || a.remote == nil {
			return err
		}
	}
	return s.fetch(ctx, r, id, v, a)
}

// fetch stores an asset that is only in an external registry, and its version.
func (s *Service) fetch(ctx context.Context, r *repository, id PackageID, v *Version, a *Asset) error {
	from := s.snapshot.Load().repository(r.id.Domain.Repository(a.repository))
	if from == nil {
		return versionNotFound(r.id, id, v.Version) // deleted meanwhile
	}
	d := s.ingest(from, from, id, v, a)
	d.spool.release() // its bytes are not read here
	select {
	case <-d.done:
		return d.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run does an ingestion and tells those who wait for it.
func (s *Service) run(ctx context.Context, key ingestionKey, d *ingestion) {
	defer d.spool.release()
	err := s.download(ctx, key, d)
	if err != nil {
		s.log.WarnContext(ctx, "a file could not be taken from an external registry",
			"file", remoteName(d.repository.connection, d.id, d.version.Version, d.asset.Name), "repository", d.repository.arn, "error", err)
	}
	s.mu.Lock()
	delete(s.ingestions, key) // who asks from now on finds what is stored, or tries again
	s.mu.Unlock()
	d.err = err
	d.spool.end(err)
	close(d.done)
	d.begin.Do(func() { close(d.started) })
}

func (s *Service) download(ctx context.Context, key ingestionKey, d *ingestion) error {
	release, err := s.remote.Exclusive(ctx, key.String())
	if err != nil {
		return err
	}
	defer release()
	if stored, err := s.isStored(ctx, d); err != nil || stored {
		return err // another server was faster
	}
	file, err := s.remote.Open(ctx, d.repository.connection, d.asset.remote)
	if err != nil {
		return err
	}
	defer file.Close()
	if file.Size > MaxAssetSize {
		return fault.New(fault.BadGateway, "UpstreamTooLarge", "%s has %d bytes, which is more than is accepted.", d.name(), file.Size)
	}
	d.size = file.Size
	if d.size >= 0 {
		d.begin.Do(func() { close(d.started) })
	}
	content, err := s.stage(ctx, io.TeeReader(file, d.spool), MaxAssetSize)
	if err != nil {
		return err
	}
	defer content.Discard()
	if err := d.verify(content); err != nil {
		s.mismatches.Add(1)
		return err
	}
	contents, err := s.remote.Inspect(ctx, d.repository.connection, Arrival{
		Package: d.id, Version: d.version.Version, Asset: d.asset.remote, Content: content, Metadata: d.version.Metadata,
	})
	if err != nil {
		if IsRemoteFailure(err) {
			s.mismatches.Add(1)
		}
		return err
	}
	if err := s.keep(ctx, d, content, contents); err != nil {
		return err
	}
	s.ingested.Add(1)
	s.keepBeside(ctx, d)
	return nil
}

func (d *ingestion) name() string {
	return remoteName(d.repository.connection, d.id, d.version.Version, d.asset.Name)
}

// isStored reports whether the repository has the file.
func (s *Service) isStored(ctx context.Context, d *ingestion) (bool, error) {
	p, err := s.load(ctx, d.repository, d.id)
	if err != nil || !p.exists() {
		return false, err
	}
	v := p.versions[d.id.Format.versionKey(d.version.Version)]
	return v != nil && v.file(d.asset.Name) != nil, nil
}

// verify compares what arrived with what the registry said.
func (d *ingestion) verify(c *Staged) error {
	said := d.asset.remote
	for _, h := range []struct{ name, said, is string }{
		{"SHA-512", said.SHA512, c.SHA512}, {"SHA-256", said.SHA256, c.SHA256}, {"SHA-1", said.SHA1, c.SHA1}, {"MD5", said.MD5, c.MD5},
	} {
		if h.said != "" && !strings.EqualFold(h.said, h.is) {
			return fault.New(fault.BadGateway, "UpstreamMismatch", "%s is damaged: its %s is %s, but the registry says %s. It is not kept. Try again later, or ask who runs the registry.", d.name(), h.name, h.is, h.said)
		}
	}
	if said.Size > 0 && said.Size != c.Size {
		return fault.New(fault.BadGateway, "UpstreamMismatch", "%s is damaged: it has %d bytes, but the registry says %d. It is not kept. Try again later, or ask who runs the registry.", d.name(), c.Size, said.Size)
	}
	return nil
}

// An incoming object is a file that is being downloaded. Its last byte is given only when
// the file is stored.
type incoming struct {
	ctx      context.Context
	d        *ingestion
	offset   int64
	finish   func() error // keeps the file in the repository that was asked
	finished bool
	closed   bool
	failed   error
}

// Failed returns why the file could not be read to its end, or nil.
func (o *incoming) Failed() error { return o.failed }

func (o *incoming) Size() int64 { return o.d.size }

func (o *incoming) Read(p []byte) (int, error) {
	n, err := o.read(p, o.offset)
	o.offset += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		o.failed = err
	}
	return n, err
}

// WaitVerified waits until the bytes are compared with the hashes of the registry and
// stored. A client that asks for a part must not get it before: nothing would tell the
// client that the part was wrong, as the broken transfer of a whole file does.
func (o *incoming) WaitVerified() error {
	if o.finished {
		return nil
	}
	select {
	case <-o.d.done:
	case <-o.ctx.Done():
		return o.ctx.Err()
	}
	if o.d.err != nil {
		return o.d.err
	}
	if err := o.finish(); err != nil {
		return err
	}
	o.finished = true
	return nil
}

func (o *incoming) read(p []byte, offset int64) (int, error) {
	last := o.d.size - 1
	if offset >= last {
		if err := o.WaitVerified(); err != nil {
			return 0, err
		}
	}
	if !o.finished && int64(len(p)) > last-offset {
		p = p[:last-offset]
	}
	return o.d.spool.readAt(o.ctx, p, offset, last)
}

func (o *incoming) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += o.offset
	case io.SeekEnd:
		offset += o.d.size
	}
	if offset < 0 {
		return 0, errors.New("packages: seek before the beginning")
	}
	o.offset = offset
	return offset, nil
}

// ReadAt waits until the bytes are verified: who reads at an offset reads a part.
func (o *incoming) ReadAt(p []byte, offset int64) (n int, err error) {
	if err := o.WaitVerified(); err != nil {
		return 0, err
	}
	for n < len(p) && err == nil {
		var more int
		more, err = o.read(p[n:], offset+int64(n))
		n += more
	}
	if n == len(p) {
		err = nil
	}
	return n, err
}

func (o *incoming) Close() error {
	if !o.closed {
		o.closed = true
		o.d.spool.release()
	}
	return nil
}
