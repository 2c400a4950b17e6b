package images_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/blobtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/removal/removaltest"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/dbtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

func same(b blob.Store) blob.Store { return b }

func TestRepository_Restart(t *testing.T) {
	s := newStore(t)
	want := images.Settings{
		Mutability: images.ImmutableWithExclusion, Exclusions: []string{"dev*"}, ScanOnPush: true,
		Encryption: images.Encryption{Type: "KMS", KMSKey: "alias/key"}, Tags: map[string]string{"team": "a"},
	}
	created, err := s.CreateRepository(t.Context(), app, want)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.CreateRepository(t.Context(), app, want)
	wantFault(t, err, "RepositoryAlreadyExists")
	const text = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:*"}]} `
	if _, err := s.SetPolicy(t.Context(), app, text, images.RefuseLockout); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, s.dir, s.clock, same)
	got, err := s.DescribeRepository(t.Context(), app)
	if err != nil || got.ID != app || !got.Created.Equal(created.Created) || got.Policy != text || got.Mutability != want.Mutability || !slices.Equal(got.Exclusions, want.Exclusions) ||
		got.ScanOnPush != true || got.Encryption != want.Encryption || !maps.Equal(got.Tags, want.Tags) {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, err := s.DeletePolicy(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	if _, err := s.SetMutability(t.Context(), app, images.Mutable, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := s.SetScanOnPush(t.Context(), app, false); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, s.dir, s.clock, same)
	got, err = s.DescribeRepository(t.Context(), app)
	if err != nil || got.Mutability != images.Mutable || got.Exclusions != nil || got.ScanOnPush || got.Policy != "" {
		t.Fatalf("%+v, %v", got, err)
	}
	_, err = s.Policy(t.Context(), app)
	wantFault(t, err, "RepositoryPolicyNotFound")
	_, err = s.DeletePolicy(t.Context(), app)
	wantFault(t, err, "RepositoryPolicyNotFound")
}

// An edit that changes no policy compiles none, and an edit that changes nothing writes
// nothing. If a write fails, readers see what the database has.
func TestRepository_Edits(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	const text = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:*"}]}`
	if _, err := s.SetPolicy(t.Context(), app, text, images.AllowLockout); err != nil {
		t.Fatal(err)
	}
	compiled := s.CompiledPolicy(app)
	tag := map[string]string{"team": "web"}
	edit := func(mode images.Mutability) error {
		_, err := s.SetMutability(t.Context(), app, mode, nil)
		_, scanErr := s.SetScanOnPush(t.Context(), app, mode == images.Immutable)
		_, policyErr := s.SetPolicy(t.Context(), app, text, images.AllowLockout)
		return errors.Join(err, scanErr, policyErr, s.TagResource(t.Context(), app, tag))
	}
	if err := edit(images.Immutable); err != nil {
		t.Fatal(err)
	}
	if s.CompiledPolicy(app) != compiled {
		t.Error("the policy was compiled again")
	}
	dbtest.RefuseUpdates(t, s.db, "image_repository")
	if err := edit(images.Immutable); err != nil {
		t.Errorf("an edit that changes nothing: %v", err)
	}
	if _, err := s.SetMutability(t.Context(), app, images.Mutable, nil); err == nil {
		t.Error("an edit succeeded without a write")
	}
	r, err := s.DescribeRepository(t.Context(), app)
	if err != nil || r.Mutability != images.Immutable || s.CompiledPolicy(app) != compiled {
		t.Errorf("after a failed write: %+v, %v", r, err)
	}
}

func TestCreateRepository_InvalidSettings(t *testing.T) {
	s := newStore(t)
	for _, name := range []string{"", "a", "A", "a//b", "/ab", "ab/", "a_-b", "ab-", strings.Repeat("a", 257), "a b", "ä"} {
		_, err := s.CreateRepository(t.Context(), named(name), images.Settings{Mutability: images.Mutable})
		wantFault(t, err, "InvalidParameter")
	}
	tooMany := map[string]string{}
	for i := range 51 {
		tooMany[fmt.Sprint(i)] = ""
	}
	for code, list := range map[string][]images.Settings{
		"InvalidParameter": {
			{Mutability: "SOMETIMES"},
			{Mutability: images.Mutable, Exclusions: []string{"a"}},
			{Mutability: images.ImmutableWithExclusion},
			{Mutability: images.ImmutableWithExclusion, Exclusions: []string{"1", "2", "3", "4", "5", "6"}},
			{Mutability: images.ImmutableWithExclusion, Exclusions: []string{"*a*b*"}},
			{Mutability: images.ImmutableWithExclusion, Exclusions: []string{"a b"}},
		},
		"TooManyTags": {{Mutability: images.Mutable, Tags: tooMany}},
		"InvalidTagParameter": {
			{Mutability: images.Mutable, Tags: map[string]string{"": ""}},
			{Mutability: images.Mutable, Tags: map[string]string{"AWS:x": ""}},
			{Mutability: images.Mutable, Tags: map[string]string{"k": strings.Repeat("ä", 257)}},
		},
	} {
		for _, settings := range list {
			_, err := s.CreateRepository(t.Context(), app, settings)
			wantFault(t, err, code)
		}
	}
	if _, err := s.DescribeRepository(t.Context(), app); err == nil {
		t.Error("a refused repository exists")
	}
}

func TestResourceTags(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	steps := []struct {
		do   func() error
		want map[string]string
	}{
		{func() error { return s.TagResource(t.Context(), app, map[string]string{"a": "1", "b": "2"}) }, map[string]string{"a": "1", "b": "2"}},
		{func() error { return s.TagResource(t.Context(), app, map[string]string{"a": "3"}) }, map[string]string{"a": "3", "b": "2"}},
		{func() error { return s.UntagResource(t.Context(), app, []string{"b", "none"}) }, map[string]string{"a": "3"}},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if got, err := s.ResourceTags(t.Context(), app); err != nil || !maps.Equal(got, step.want) {
			t.Errorf("tags = %v, %v, want %v", got, err, step.want)
		}
	}
	many := map[string]string{}
	for i := range 50 {
		many[fmt.Sprint(i)] = ""
	}
	wantFault(t, s.TagResource(t.Context(), app, many), "TooManyTags")
	if id, err := images.ParseRepositoryARN(app.ARN()); err != nil || id != app {
		t.Errorf("%v, %v", id, err)
	}
	for _, arn := range []string{"", "x", "arn:aws:ecr:us-east-1:000000000001:team/app", "arn:aws:s3:us-east-1:000000000001:repository/a", "arn:aws:ecr:us-east-1:1:repository/a"} {
		_, err := images.ParseRepositoryARN(arn)
		wantFault(t, err, "InvalidParameter")
	}
}

func TestRepositories_ByteOrder(t *testing.T) {
	s := newStore(t)
	want := []string{"a-b", "a/b", "a0", "aa", "b1"}
	for _, name := range []string{"b1", "a/b", "aa", "a-b", "a0"} {
		s.create(t, named(name))
	}
	for _, other := range []images.RepositoryID{{Account: "000000000000", Region: "us-east-1", Name: "zz"}, {Account: app.Account, Region: "eu-west-1", Name: "zz"}, {Account: "000000000002", Region: "us-east-1", Name: "aa"}} {
		s.create(t, other)
	}
	var got []string
	for after, more := "", true; more; {
		var page []*images.Repository
		var err error
		page, more, err = s.Repositories(t.Context(), app.Account, app.Region, after, 2)
		if err != nil || len(page) == 0 || len(page) > 2 {
			t.Fatalf("%v, %v", page, err)
		}
		for _, r := range page {
			got = append(got, r.ID.Name)
		}
		after = got[len(got)-1]
	}
	if !slices.Equal(got, want) {
		t.Errorf("repositories = %v, want %v", got, want)
	}
}

func TestDeleteRepository(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	s.create(t, named("other"))
	s.push(t, named("other"), "shared")
	s.push(t, app, "shared")
	d := s.pushImage(t, app, "one", "v1")
	u, err := s.StartUpload(t.Context(), app, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.AppendUpload(t.Context(), app, u.ID, 0, reader("x")); err != nil {
		t.Fatal(err)
	}
	_, err = s.DeleteRepository(t.Context(), app, images.KeepContents)
	wantFault(t, err, "RepositoryNotEmpty")
	if _, err := s.Manifest(t.Context(), app, images.Reference{Tag: "v1"}); err != nil { // fills the caches
		t.Fatal(err)
	}
	if _, err := s.DeleteRepository(t.Context(), app, images.DeleteContents); err != nil {
		t.Fatal(err)
	}
	_, err = s.DescribeRepository(t.Context(), app)
	wantFault(t, err, "RepositoryNotFound")
	s.create(t, app) // again, and empty
	for _, ref := range []images.Reference{{Tag: "v1"}, {Digest: d}} {
		_, err = s.Manifest(t.Context(), app, ref)
		wantFault(t, err, "ImageNotFound")
	}
	_, err = s.UploadStatus(t.Context(), app, u.ID)
	wantFault(t, err, "UploadNotFound")
	_, err = s.BlobInfo(t.Context(), app, digest.FromString("shared"))
	wantFault(t, err, "BlobNotFound")
	if _, err := s.SweepBlobs(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if n := s.objects(t); n != 1 {
		t.Errorf("%d objects left, want the shared one", n)
	}
	s.wantBlob(t, named("other"), "shared")
	if _, err := s.DeleteRepository(t.Context(), app, images.KeepContents); err != nil {
		t.Error(err)
	}
}

// every has one call of each method that is about a repository, with the actions that
// it needs.
var every = []struct {
	name    string
	actions []string
	call    func(context.Context, *store, images.RepositoryID) error
}{
	{"DescribeRepository", []string{"ecr:DescribeRepositories"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		_, err := s.DescribeRepository(ctx, id)
		return err
	}},
	{"SetMutability", []string{"ecr:PutImageTagMutability"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		_, err := s.SetMutability(ctx, id, images.Mutable, nil)
		return err
	}},
	{"SetScanOnPush", []string{"ecr:PutImageScanningConfiguration"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		_, err := s.SetScanOnPush(ctx, id, true)
		return err
	}},
	{"SetPolicy", []string{"ecr:SetRepositoryPolicy"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		_, err := s.SetPolicy(ctx, id, `{"Version":"2012-10-17","Statement":[]}`, images.AllowLockout)
		return err
	}},
	{"Policy", []string{"ecr:GetRepositoryPolicy"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		_, err := s.Policy(ctx, id)
		return err
	}},
	{"DeletePolicy", []string{"ecr:DeleteRepositoryPolicy"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		_, err := s.DeletePolicy(ctx, id)
		return err
	}},
	{"ResourceTags", []string{"ecr:ListTagsForResource"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		_, err := s.ResourceTags(ctx, id)
		return err
	}},
	{"TagResource", []string{"ecr:TagResource"}, func(ctx context.Context, s *store, id images.RepositoryID) error { return s.TagResource(ctx, id, nil) }},
	{"UntagResource", []string{"ecr:UntagResource"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		return s.UntagResource(ctx, id, nil)
	}},
	{"Manifest", []string{"ecr:BatchGetImage"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		_, err := s.Manifest(ctx, id, images.Reference{Tag: "v1"})
		return err
	}},
	{"Manifests", []string{"ecr:BatchGetImage"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		_, _, err := s.Manifests(ctx, id, nil)
		return err
	}},
	{"Referrers", []string{"ecr:BatchGetImage"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		_, _, err := s.Referrers(ctx, id, images.ReferrersQuery{Subject: layerX, Limit: 1})
		return err
	}},
	{"ImageReferrers", []string{"ecr:BatchGetImage"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		_, _, err := s.ImageReferrers(ctx, id, images.ReferrersQuery{Subject: layerX, Limit: 1})
		return err
	}},
	{"RepositoryScanning", []string{"ecr:BatchGetRepositoryScanningConfiguration"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		_, err := s.RepositoryScanning(ctx, id)
		return err
	}},
	{"Tags", []string{"ecr:ListImages"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		_, _, err := s.Tags(ctx, id, "", 1)
		return err
	}},
	{"ListImages", []string{"ecr:ListImages"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		_, _, err := s.ListImages(ctx, id, images.ImageFilter{}, images.Reference{}, 1)
		return err
	}},
	{"DescribeImages", []string{"ecr:DescribeImages"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		_, _, err := s.DescribeImages(ctx, id, images.ImageFilter{}, "", 1)
		return err
	}},
	{"DescribeImagesByReference", []string{"ecr:DescribeImages"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		_, err := s.DescribeImagesByReference(ctx, id, nil)
		return err
	}},
	{"OpenBlob", []string{"ecr:GetDownloadUrlForLayer"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		_, o, err := s.OpenBlob(ctx, id, layerX)
		if err == nil {
			o.Close()
		}
		return err
	}},
	{"DownloadableLayer", []string{"ecr:GetDownloadUrlForLayer"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		_, err := s.DownloadableLayer(ctx, id, layerX)
		return err
	}},
	{"LayerAvailability", []string{"ecr:BatchCheckLayerAvailability"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		_, err := s.LayerAvailability(ctx, id, nil)
		return err
	}},
	{"StartUpload", []string{"ecr:InitiateLayerUpload"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		_, err := s.StartUpload(ctx, id, "")
		return err
	}},
	{"MountBlob", []string{"ecr:InitiateLayerUpload"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		_, err := s.MountBlob(ctx, id, id.Name, layerX)
		return err
	}},
	{"UploadStatus", []string{"ecr:UploadLayerPart"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		_, err := s.UploadStatus(ctx, id, "none")
		return err
	}},
	{"AppendUpload", []string{"ecr:UploadLayerPart"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		_, err := s.AppendUpload(ctx, id, "none", 0, reader(""))
		return err
	}},
	{"UploadPart", []string{"ecr:UploadLayerPart"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		_, err := s.UploadPart(ctx, id, "none", 0, 0, []byte("x"))
		return err
	}},
	{"CancelUpload", []string{"ecr:UploadLayerPart"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		return s.CancelUpload(ctx, id, "none")
	}},
	{"CompleteUpload", []string{"ecr:CompleteLayerUpload"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		_, err := s.CompleteUpload(ctx, id, "none", 0, nil, layerX)
		return err
	}},
	{"CompleteUpload with a body", []string{"ecr:CompleteLayerUpload", "ecr:UploadLayerPart"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		_, err := s.CompleteUpload(ctx, id, "none", 0, reader("x"), layerX)
		return err
	}},
	{"CompleteLayer", []string{"ecr:CompleteLayerUpload"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		_, err := s.CompleteLayer(ctx, id, "none", []digest.Digest{layerX})
		return err
	}},
	{"PutBlob", []string{"ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		_, err := s.PutBlob(ctx, id, layerX, reader("x"))
		return err
	}},
	{"PutManifest", []string{"ecr:PutImage"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		_, err := s.PutManifest(ctx, id, images.PutManifest{Tags: []string{"v1"}, Body: bytes.NewReader(index())})
		return err
	}},
	{"DeleteImage", []string{"ecr:BatchDeleteImage"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		return s.DeleteImage(ctx, id, images.Reference{Tag: "none"})
	}},
	{"DeleteImages", []string{"ecr:BatchDeleteImage"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		_, _, err := s.DeleteImages(ctx, id, nil)
		return err
	}},
	{"DeleteBlob", []string{"ecr:BatchDeleteImage"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		return s.DeleteBlob(ctx, id, layerX)
	}},
	{"PutLifecyclePolicy", []string{"ecr:PutLifecyclePolicy"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		return s.PutLifecyclePolicy(ctx, id, keepNewest("v*", 1))
	}},
	{"LifecyclePolicy", []string{"ecr:GetLifecyclePolicy"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		_, err := s.LifecyclePolicy(ctx, id)
		return err
	}},
	{"DeleteLifecyclePolicy", []string{"ecr:DeleteLifecyclePolicy"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		_, err := s.DeleteLifecyclePolicy(ctx, id)
		return err
	}},
	{"StartLifecyclePreview", []string{"ecr:StartLifecyclePolicyPreview"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		_, err := s.StartLifecyclePreview(ctx, id, nil)
		return err
	}},
	{"LifecyclePreview", []string{"ecr:GetLifecyclePolicyPreview"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		_, _, _, err := s.LifecyclePreview(ctx, id, images.PreviewQuery{})
		return err
	}},
	{"RunLifecycle", []string{"gatehouse:RunLifecycle"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		_, err := s.RunLifecycle(ctx, id)
		return err
	}},
	{"LifecycleRuns", []string{"gatehouse:ListLifecycleRuns"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		_, _, err := s.LifecycleRuns(ctx, id, images.LifecycleRun{}, 1)
		return err
	}},
	{"LifecycleRun", []string{"gatehouse:ListLifecycleRuns"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		_, err := s.LifecycleRun(ctx, id, "none")
		return err
	}},
	{"UndoLifecycle", []string{"gatehouse:UndoLifecycle"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		_, err := s.UndoLifecycle(ctx, id, "none")
		return err
	}},
	{"ExplainLifecycle", []string{"gatehouse:ExplainLifecycle"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		_, _, err := s.ExplainLifecycle(ctx, id, images.LifecycleExplanation{})
		return err
	}},
	{"ReplicationStatus", []string{"ecr:DescribeImageReplicationStatus"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		_, err := s.ReplicationStatus(ctx, id, images.Reference{Tag: "t"})
		return err
	}},
	{"DeleteRepository", []string{"ecr:DeleteRepository"}, func(ctx context.Context, s *store, id images.RepositoryID) error {
		_, err := s.DeleteRepository(ctx, id, images.DeleteContents)
		return err
	}},
}

var layerX = digest.FromString("x")

// A caller who is not allowed gets the same AccessDenied whether the repository exists
// or not, and changes nothing. A caller who is allowed gets RepositoryNotFound.
func TestService_EveryMethodAuthorizes(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	s.push(t, app, "x")
	nowhere := named("not/there")
	for _, m := range every {
		t.Run(m.name, func(t *testing.T) {
			for _, action := range m.actions {
				s.authz.denied, s.authz.asked = map[string]bool{action: true}, nil
				wantFault(t, m.call(t.Context(), s, app), "AccessDenied")
				wantFault(t, m.call(t.Context(), s, nowhere), "AccessDenied")
				if len(s.authz.asked) != 2 || s.authz.asked[0].Resource != app.ARN() || s.authz.asked[1].Resource != nowhere.ARN() ||
					s.authz.asked[0].Account != app.Account || s.authz.asked[1].Account != app.Account {
					t.Errorf("asked for %+v", s.authz.asked)
				}
			}
			s.authz.denied = nil
			wantFault(t, m.call(t.Context(), s, nowhere), "RepositoryNotFound")
		})
	}
	s.authz.denied = map[string]bool{"ecr:CreateRepository": true}
	_, err := s.CreateRepository(t.Context(), nowhere, images.Settings{Mutability: images.Mutable})
	wantFault(t, err, "AccessDenied")
	s.authz.denied = map[string]bool{"ecr:TagResource": true}
	_, err = s.CreateRepository(t.Context(), nowhere, images.Settings{Mutability: images.Mutable, Tags: map[string]string{"a": "b"}})
	wantFault(t, err, "AccessDenied")
	s.authz.denied = map[string]bool{"ecr:DescribeRepositories arn:aws:ecr:us-east-1:000000000001:repository/*": true}
	_, _, err = s.Repositories(t.Context(), app.Account, app.Region, "", 1)
	wantFault(t, err, "AccessDenied")
	for _, operation := range []string{"Put", "Get", "Delete"} {
		action := "gatehouse:" + operation + "DefaultLifecyclePolicy"
		s.authz.denied = map[string]bool{action + " arn:aws:ecr:us-east-1:000000000001:repository/*": true}
		switch operation {
		case "Put":
			_, err = s.PutDefaultLifecyclePolicy(t.Context(), app.Account, app.Region, keepNewest("v*", 1))
		case "Get":
			_, err = s.DefaultLifecyclePolicy(t.Context(), app.Account, app.Region)
		case "Delete":
			err = s.DeleteDefaultLifecyclePolicy(t.Context(), app.Account, app.Region)
		}
		wantFault(t, err, "AccessDenied")
	}
}

// The managed policy for pulling does not have BatchCheckLayerAvailability.
func TestBlobInfo_EitherAction(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	s.push(t, app, "x")
	for _, c := range []struct {
		denied []string
		want   string
	}{
		{nil, ""},
		{[]string{"ecr:BatchCheckLayerAvailability"}, ""},
		{[]string{"ecr:GetDownloadUrlForLayer"}, ""},
		{[]string{"ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer"}, "AccessDenied"},
	} {
		s.authz.denied = map[string]bool{}
		for _, action := range c.denied {
			s.authz.denied[action] = true
		}
		if _, err := s.BlobInfo(t.Context(), app, layerX); c.want != "" {
			wantFault(t, err, c.want)
		} else if err != nil {
			t.Error(err)
		}
	}
}

func TestMountBlob(t *testing.T) {
	s := newStore(t)
	from, to := named("from"), named("to")
	s.create(t, from)
	s.create(t, to)
	s.push(t, from, "x")
	_, err := s.MountBlob(t.Context(), to, "none", layerX)
	wantFault(t, err, "BlobNotFound")
	_, err = s.MountBlob(t.Context(), to, from.Name, digest.FromString("other"))
	wantFault(t, err, "BlobNotFound")
	s.authz.denied = map[string]bool{"ecr:GetDownloadUrlForLayer " + from.ARN(): true}
	_, err = s.MountBlob(t.Context(), to, from.Name, layerX)
	wantFault(t, err, "BlobNotFound") // and nothing about the source
	s.authz.denied = nil
	if b, err := s.MountBlob(t.Context(), to, from.Name, layerX); err != nil || b.Size != 1 {
		t.Fatal(b, err)
	}
	s.wantBlob(t, to, "x")
	if n := s.objects(t); n != 1 {
		t.Errorf("%d objects, want 1", n)
	}
}

// With the real authorizer: a repository's policy gives another account the listed
// actions until the policy is deleted.
func TestService_CrossAccount(t *testing.T) {
	d := dbtest.Open(t)
	blobs := blobtest.Open(t)
	s, err := images.New(t.Context(), images.Config{DB: d, Blobs: blobs, Removals: removaltest.New(t, d, blobs, newClock().now), Authz: new(authz.PolicyAuthorizer), Principals: iamtest.Unbound{}, Now: newClock().now})
	if err != nil {
		t.Fatal(err)
	}
	all, err := policy.Parse(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"*"}]}`, policy.Identity)
	if err != nil {
		t.Fatal(err)
	}
	as := func(account string, policies ...*policy.Policy) context.Context {
		return authn.WithCaller(t.Context(), &authn.Caller{Region: app.Region, Principal: &authn.Principal{
			Type: authn.User, Account: account, ARN: "arn:aws:iam::" + account + ":user/u", PrincipalARN: "arn:aws:iam::" + account + ":user/u", Policies: policies,
		}})
	}
	owner, guest, nobody := as(app.Account, all), as("000000000002", all), as(app.Account)
	if _, err := s.CreateRepository(owner, app, images.Settings{Mutability: images.Mutable}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.PutManifest(owner, app, images.PutManifest{Tags: []string{"v1"}, Body: bytes.NewReader(index())}); err != nil {
		t.Fatal(err)
	}
	pull := func(ctx context.Context, id images.RepositoryID) error {
		_, err := s.Manifest(ctx, id, images.Reference{Tag: "v1"})
		return err
	}
	for _, ctx := range []context.Context{guest, nobody, t.Context()} {
		wantFault(t, pull(ctx, app), "AccessDenied")
		wantFault(t, pull(ctx, named("not/there")), "AccessDenied")
	}
	wantFault(t, pull(owner, named("not/there")), "RepositoryNotFound")

	const open = `{"Version":"2012-10-17","Statement":[{"Sid":"pull","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000002:root"},"Action":["ecr:BatchGetImage"]}]}`
	if _, err := s.SetPolicy(owner, app, open, images.RefuseLockout); err != nil {
		t.Fatal(err)
	}
	if err := pull(guest, app); err != nil {
		t.Error(err)
	}
	_, _, err = s.Tags(guest, app, "", 1)
	wantFault(t, err, "AccessDenied")
	if _, err := s.DeletePolicy(owner, app); err != nil {
		t.Fatal(err)
	}
	wantFault(t, pull(guest, app), "AccessDenied")

	const lockout = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"ecr:SetRepositoryPolicy"}]}`
	_, err = s.SetPolicy(owner, app, lockout, images.RefuseLockout)
	wantFault(t, err, "InvalidParameter")
	_, err = s.SetPolicy(owner, app, `{"Statement":`, images.AllowLockout)
	wantFault(t, err, "InvalidParameter")
	if _, err := s.SetPolicy(owner, app, lockout, images.AllowLockout); err != nil {
		t.Fatal(err)
	}
	_, err = s.SetPolicy(owner, app, open, images.AllowLockout)
	wantFault(t, err, "AccessDenied")
}
