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
// background, once for all clients, and writes it to the blob store as a publication does.
// The clients read what has arrived (spool.go). When all bytes are there, they are compared
// with the hashes that the registry gave. Only if they are right, the clients get the last
// bytes, so no client has a complete file that is wrong.
//
// The file is stored right after that: clients do not wait for the disk, which took more
// time than all the rest of a small file. Until then, other clients read it from the spool,
// and operations that could see that it is missing wait (settle). [Service.Close] waits
// too. If the server is killed in these milliseconds, the file is downloaded again when
// somebody asks for it.

const (
	// waitForAll is the size in bytes up to which a client gets a file only when all of it
	// has arrived and is verified. Then a failure is answered with its reason, and not with
	// a broken transfer.
	waitForAll = 256 << 10
	// maxUnstored is how many verified files wait to be stored at a time. Further ones are
	// served when one of them is stored, so that the memory of their spools is bounded.
	maxUnstored = 64
)

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
	unstored   chan struct{} // has a value for each verified file that is being stored
	ingested   atomic.Uint64
	mismatches atomic.Uint64
}

func newIngester(c Config) *ingester {
	i := &ingester{remote: c.Remote, spoolDir: c.SpoolDir, log: c.Log, ingestions: map[ingestionKey]*ingestion{}, unstored: make(chan struct{}, maxUnstored)}
	if i.log == nil {
		i.log = slog.New(slog.DiscardHandler)
	}
	i.life, i.stop = context.WithCancel(context.Background())
	return i
}

// Close ends the downloads that are under way. Those that are verified are stored.
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

// An ingestion is the download of one file. Fields may be read after the channel before
// them is closed.
type ingestion struct {
	repository *repository // the one with the connection
	asked      *repository // the one that the first client asked; the file is retained in it too
	id         PackageID
	version    *Version
	asset      *Asset

	spool *spool

	started chan struct{} // closed when the size is known, or with verified
	begin   sync.Once
	size    int64

	verified chan struct{} // closed when the bytes are the right ones, or the ingestion failed
	verify   sync.Once
	failure  error   // why they are not; nil if they are, or if the file is stored already
	content  *Staged // its size and hashes; nil if the file is stored already

	done chan struct{}
	err  error // nil if the file is stored
}

// announce tells those who wait that all bytes are there and right, or why not.
func (d *ingestion) announce(content *Staged, failure error) {
	d.verify.Do(func() {
		d.content, d.failure = content, failure
		d.spool.end(failure)
		close(d.verified)
		d.begin.Do(func() { close(d.started) })
	})
}

// openRemote opens a file that is not stored yet. It returns errStored if the caller is to
// look the file up again.
func (s *Service) openRemote(ctx context.Context, r *repository, id PackageID, v *Version, a *Asset) (Asset, blob.Object, error) {
	from := s.snapshot.Load().repository(r.id.Domain.Repository(a.repository))
	if from == nil {
		return Asset{}, nil, assetNotFound(id, v.Version, a.Name) // deleted meanwhile
	}
	d := s.ingest(from, r, id, v, a)
	found := *a
	found.download = s.newDownload(r, id, v, a)
	o := &incoming{ctx: ctx, d: d, finish: func() error { return s.retainArrived(ctx, d, r) }}
	if err := o.await(d.started); err != nil {
		o.Close()
		return Asset{}, nil, err
	}
	if found.Size = d.size; d.size > waitForAll {
		return found, o, nil
	}
	defer o.Close()
	if err := o.WaitVerified(); err != nil {
		return Asset{}, nil, err
	}
	if d.content == nil {
		return Asset{}, nil, errStored
	}
	found.Size, found.MD5, found.SHA1, found.SHA256, found.SHA512 = d.content.Size, d.content.MD5, d.content.SHA1, d.content.SHA256, d.content.SHA512
	return found, newMemoryObject(d.spool.memory), nil // a small file is in memory
}

// retainArrived keeps a file that is being stored in a repository that asked for it, if an
// ingestion for another one downloads it.
func (s *Service) retainArrived(ctx context.Context, d *ingestion, r *repository) error {
	if d.repository == r || d.asked == r {
		return nil // it is kept there in any case
	}
	select {
	case <-d.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	if d.err != nil {
		return d.err
	}
	return s.retain(ctx, r, d.version, d.id, d.repository.id.Name)
}

// settle waits until files that clients have are stored: those of a package in a repository,
// or all of a repository if id is nil, or all if r is nil. So whoever has got a file finds
// it in the answers of all operations.
func (s *Service) settle(ctx context.Context, r *repository, id *PackageID) error {
	return await(ctx, s.arriving(r, id))
}

// whileStoring looks something up about a package. If it is not found, or a registry fails,
// while files of the package are being stored, it looks again when they are: the registry may
// have lost them since. A refusal is final: it is counted and told once.
func (s *Service) whileStoring(ctx context.Context, id PackageID, lookUp func() error) error {
	storing := s.arriving(nil, &id)
	err := lookUp()
	if err == nil || len(storing) == 0 || fault.From(err).Kind == fault.Denied {
		return err
	}
	if err := await(ctx, storing); err != nil {
		return err
	}
	return lookUp()
}

// await waits for the end of ingestions.
func await(ctx context.Context, all []*ingestion) error {
	for _, d := range all {
		select {
		case <-d.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// arriving returns the ingestions for which settle waits.
func (s *Service) arriving(r *repository, id *PackageID) []*ingestion {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*ingestion
	for _, d := range s.ingestions {
		select {
		case <-d.verified:
		default:
			continue // no client has it
		}
		if (r == nil || r.row == d.repository.row || r.row == d.asked.row) && (id == nil || d.repository.cacheKey(d.id) == d.repository.cacheKey(*id)) {
			all = append(all, d)
		}
	}
	return all
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
			spool: newSpool(s.spoolDir), started: make(chan struct{}), verified: make(chan struct{}), done: make(chan struct{}),
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
	d.announce(nil, err)
	close(d.done)
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
	content, err := s.receive(ctx, io.TeeReader(file, d.spool), MaxAssetSize)
	if err != nil {
		return err
	}
	defer content.Discard()
	if err := d.compare(content.Staged); err != nil {
		s.mismatches.Add(1)
		return err
	}
	content.spool = d.spool // it can be read before it is committed
	contents, err := s.remote.Inspect(ctx, d.repository.connection, Arrival{
		Package: d.id, Version: d.version.Version, Asset: d.asset.remote, Content: content.Staged, Metadata: d.version.Metadata,
	})
	if err != nil {
		if IsRemoteFailure(err) {
			s.mismatches.Add(1)
		}
		return err
	}
	if err := s.storeVerified(ctx, d, content, contents); err != nil {
		return err
	}
	s.ingested.Add(1)
	s.keepBeside(ctx, d)
	return nil
}

// storeVerified tells the clients that the bytes are right and stores them.
func (s *Service) storeVerified(ctx context.Context, d *ingestion, content *receivedContent, contents Contents) error {
	select {
	case s.unstored <- struct{}{}:
		defer func() { <-s.unstored }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if d.size < 0 {
		d.size = content.Size
	}
	d.announce(content.Staged, nil)
	ctx = context.WithoutCancel(ctx) // clients have it: Close waits
	if err := content.commit(ctx); err != nil {
		return err
	}
	return s.keep(ctx, d, content.Staged, contents)
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

// compare compares what arrived with what the registry said.
func (d *ingestion) compare(c *Staged) error {
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
// the file is verified.
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

// WaitVerified waits until the bytes are compared with the hashes of the registry. A client
// that asks for a part must not get it before: nothing would tell the client that the part
// was wrong, as the broken transfer of a whole file does.
func (o *incoming) WaitVerified() error {
	if o.finished {
		return nil
	}
	if err := o.await(o.d.verified); err != nil {
		return err
	}
	if o.d.failure != nil {
		return o.d.failure
	}
	if err := o.finish(); err != nil {
		return err
	}
	o.finished = true
	return nil
}

func (o *incoming) await(closed <-chan struct{}) error {
	select {
	case <-closed:
		return nil
	case <-o.ctx.Done():
		return o.ctx.Err()
	}
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
