package e2e

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/client/operator"
	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
)

// The images of the repository "kept" are archived, restored, expired and replicated. An item
// of the ledger says in which storage class an image is.

const (
	keptRepository = "kept"
	replicaRegion  = "us-west-2"
	expiring       = 3 // images of the prefix old- that the lifecycle policy keeps
)

func keptKey(d string) string { return "kept/" + d }

// keptConfig writes a configuration with the region to which images are replicated.
func keptConfig(t *testing.T, data string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gatehouse.yaml")
	if err := os.WriteFile(path, fmt.Appendf(nil, "data: %s\nregions: [%s]\n", data, replicaRegion), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// keptPolicy is a lifecycle policy that keeps so many images of the prefix old-.
func keptPolicy(n int) string {
	return fmt.Sprintf(`{"rules":[{"rulePriority":1,"description":"the youngest of those that are old","selection":{"tagStatus":"tagged","tagPrefixList":["old-"],"countType":"imageCountMoreThan","countNumber":%d},"action":{"type":"expire"}}]}`, n)
}

// prepareKept creates the repository with its rules.
func (s *session) prepareKept(t *testing.T) {
	t.Helper()
	api := ecr.NewFromConfig(s.aws)
	if _, err := api.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String(keptRepository)}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.PutLifecyclePolicy(t.Context(), &ecr.PutLifecyclePolicyInput{RepositoryName: aws.String(keptRepository), LifecyclePolicyText: aws.String(keptPolicy(expiring))}); err != nil {
		t.Fatal(err)
	}
	_, err := api.PutReplicationConfiguration(t.Context(), &ecr.PutReplicationConfigurationInput{ReplicationConfiguration: &types.ReplicationConfiguration{Rules: []types.ReplicationRule{{
		Destinations:      []types.ReplicationDestination{{Region: aws.String(replicaRegion), RegistryId: aws.String(account)}},
		RepositoryFilters: []types.RepositoryFilter{{Filter: aws.String(keptRepository), FilterType: types.RepositoryFilterTypePrefixMatch}},
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	s.ledger.begin(change{"repository/" + keptRepository: present})()
}

// keptClient is the client of a round.
func keptClient(s *session, round int, seed uint64) *client {
	return &client{session: s, kind: keptRepository, round: round, rand: rand.New(rand.NewPCG(seed, uint64(1_000_000+round))), step: (*client).changeKept}
}

func (c *client) changeKept() error {
	switch c.rand.IntN(5) {
	case 0:
		return c.setStorageClass(types.TargetStorageClassArchive, types.TargetStorageClassStandard)
	case 1:
		return c.setStorageClass(types.TargetStorageClassStandard, types.TargetStorageClassArchive)
	case 2:
		// The push itself may be the reason for which a run, which may be under way, expires
		// an image more.
		if err := c.previewKept(expiring - 1); err != nil {
			return err
		}
		return c.pushKept("old-")
	case 3:
		return c.runLifecycle()
	}
	return c.pushKept("keep-")
}

// pushKept pushes a small image with a new tag.
func (c *client) pushKept(prefix string) error {
	tag := prefix + c.next()
	blobs := [][]byte{fmt.Appendf(nil, `{"architecture":"amd64","os":"linux","author":%q}`, tag), []byte("a layer")}
	for _, b := range blobs {
		if _, err := c.do(c.oci("POST", "/v2/kept/blobs/uploads/?digest="+digest.FromBytes(b).String()).sends(b), http.StatusCreated); err != nil {
			return err
		}
	}
	m := imageManifest(blobs[0], blobs[1:])
	return c.write(change{keptKey(digest.FromBytes(m).String()): tag}, func() error {
		_, err := c.do(c.oci("PUT", "/v2/kept/manifests/"+tag).with("Content-Type", ociManifest).sends(m), http.StatusCreated)
		return err
	})
}

// archivedMark follows the tag of an archived image in the ledger.
const archivedMark = " in the archive"

// setStorageClass moves an image that is not to expire from one storage class to another.
func (c *client) setStorageClass(to, from types.TargetStorageClass) error {
	images := c.ledger.keys(func(key, value string) bool {
		return strings.HasPrefix(key, keptKey("")) && strings.HasPrefix(value, "keep-") && strings.HasSuffix(value, archivedMark) == (from == types.TargetStorageClassArchive)
	})
	if len(images) == 0 {
		return nil
	}
	key := images[c.rand.IntN(len(images))]
	after := strings.TrimSuffix(c.ledger.has(key), archivedMark)
	if to == types.TargetStorageClassArchive {
		after += archivedMark
	}
	return c.write(change{key: after}, func() error {
		_, err := ecr.NewFromConfig(c.aws).UpdateImageStorageClass(c.ctx, &ecr.UpdateImageStorageClassInput{
			RepositoryName: aws.String(keptRepository), ImageId: &types.ImageIdentifier{ImageDigest: aws.String(strings.TrimPrefix(key, keptKey("")))}, TargetStorageClass: to,
		})
		return err
	})
}

// previewKept asks which images a policy that keeps n would expire. Only these may be missing.
func (s *session) previewKept(n int) error {
	api, err := operator.New(s.aws, time.Now)
	if err != nil {
		return err
	}
	in := &operatormodel.ExplainLifecycleInput{RepositoryName: keptRepository, PolicyText: aws.String(keptPolicy(n))}
	for {
		page, err := api.ExplainLifecycle(s.ctx, in)
		if err != nil {
			return err
		}
		for i := range page.Images {
			if page.Images[i].Decision == "expired" {
				s.ledger.mayExpire(keptKey(page.Images[i].ImageDigest))
			}
		}
		if in.NextToken = page.NextToken; in.NextToken == nil {
			return nil
		}
	}
}

func (c *client) runLifecycle() error {
	api, err := operator.New(c.aws, time.Now)
	if err != nil {
		return err
	}
	_, err = api.RunLifecycle(c.ctx, &operatormodel.RunLifecycleInput{RepositoryName: keptRepository})
	return err
}

// describeKept lists the images of a region, archived ones too.
func (s *session) describeKept(region string) (images []types.ImageDetail, err error) {
	cfg := s.aws
	cfg.Region = region
	pages := ecr.NewDescribeImagesPaginator(ecr.NewFromConfig(cfg), &ecr.DescribeImagesInput{
		RepositoryName: aws.String(keptRepository), Filter: &types.DescribeImagesFilter{ImageStatus: types.ImageStatusFilterAny},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(s.ctx)
		if err != nil {
			return nil, err
		}
		images = append(images, page.ImageDetails...)
	}
	return images, nil
}

// kept reads the images, and pulls those that are not archived.
func (c *crawl) kept() error {
	if c.ledger.has("repository/"+keptRepository) == "" {
		return nil
	}
	images, err := c.describeKept(region)
	if err != nil {
		return err
	}
	for i := range images {
		d, value := *images[i].ImageDigest, strings.Join(images[i].ImageTags, " ")
		want := http.StatusOK
		switch images[i].ImageStatus {
		case types.ImageStatusArchived:
			want, value = http.StatusNotFound, value+archivedMark
		case types.ImageStatusActivating: // the request was carried out; the rest follows
			want = 0
		}
		c.record(keptKey(d), value)
		a, err := c.do(c.oci("GET", "/v2/kept/manifests/"+d).with("Accept", ociManifest), http.StatusOK, http.StatusNotFound)
		if err != nil {
			return err
		}
		// A lifecycle run or a restoration may be under way.
		if want == http.StatusOK && a.status != want && !strings.HasPrefix(value, "old-") || want == http.StatusNotFound && a.status != want {
			return fmt.Errorf("image %s (%s) is %s, and its manifest is answered with %d", d, value, images[i].ImageStatus, a.status)
		}
		if a.status == http.StatusOK && digest.FromBytes(a.body).String() != d {
			return fmt.Errorf("the manifest of %s has another digest", d)
		}
	}
	return nil
}

// checkReplica waits until the background work is done. Then the destination must have what the
// source has, whole, and nothing that nobody pushed.
func (s *session) checkReplica(t *testing.T) {
	t.Helper()
	replica := s.aws
	replica.Region = replicaRegion
	api := ecr.NewFromConfig(replica)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var missing []string
	for deadline := time.Now().Add(waitTimeout); ; <-tick.C {
		missing = nil
		source, err := s.describeKept(region)
		if err != nil {
			t.Fatal(err)
		}
		there, err := s.describeKept(replicaRegion)
		if isOtherError(err, "RepositoryNotFoundException") {
			t.Fatal(err)
		}
		has := map[string]bool{}
		for i := range there {
			has[*there[i].ImageDigest] = true
		}
		for i := range source {
			if d := *source[i].ImageDigest; source[i].ImageStatus == types.ImageStatusActivating || source[i].ImageStatus == types.ImageStatusActive && !has[d] {
				missing = append(missing, fmt.Sprint(d, source[i].ImageTags, " ", source[i].ImageStatus))
			}
		}
		if len(missing) == 0 {
			s.pullReplica(t, api, there)
			t.Logf("%d images are left, and %d were replicated", len(source), len(there))
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("never restored or replicated: %q", missing)
		}
	}
}

// pullReplica pulls the images of the destination.
func (s *session) pullReplica(t *testing.T, api *ecr.Client, images []types.ImageDetail) {
	t.Helper()
	for i := range images {
		d := *images[i].ImageDigest
		if key := keptKey(d); s.ledger.has(key) == "" && !s.ledger.expires(key) {
			t.Errorf("%s %q was replicated, and nobody has pushed it", d, images[i].ImageTags)
		}
		got, err := api.BatchGetImage(t.Context(), &ecr.BatchGetImageInput{RepositoryName: aws.String(keptRepository), ImageIds: []types.ImageIdentifier{{ImageDigest: &d}}})
		if err != nil || len(got.Images) != 1 || digest.FromString(*got.Images[0].ImageManifest).String() != d {
			t.Fatal(err, d, got)
		}
	}
	if len(images) == 0 {
		return
	}
	layer := digest.FromString("a layer").String()
	address, err := api.GetDownloadUrlForLayer(t.Context(), &ecr.GetDownloadUrlForLayerInput{RepositoryName: aws.String(keptRepository), LayerDigest: &layer})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, *address.DownloadUrl, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := s.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err != nil || string(body) != "a layer" {
		t.Errorf("the replicated layer: %q, %v", body, err)
	}
}
