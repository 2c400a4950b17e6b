package operatorapi

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/optional"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/pagetoken"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
	"github.com/gatehouse-registry/gatehouse/internal/server/images/lifecycle"
)

// imageRepository returns the image repository that a request names. Its registry is the
// caller's unless the request says another account.
func imageRepository(ctx context.Context, registryID *string, name string) images.RepositoryID {
	id := images.RepositoryID{Account: optional.Value(registryID), Name: name}
	if c := authn.FromContext(ctx); c != nil {
		id.Region = c.Region
		if registryID == nil {
			id.Account = c.Account
		}
	}
	return id
}

// ExplainLifecycle returns a page of what a lifecycle policy decides about images.
func (a *API) ExplainLifecycle(ctx context.Context, in *operatormodel.ExplainLifecycleInput) (*operatormodel.ExplainLifecycleOutput, error) {
	id := imageRepository(ctx, in.RegistryID, in.RepositoryName)
	x := images.LifecycleExplanation{Document: optional.Value(in.PolicyText), Limit: pageSize(in.MaxResults)}
	if in.ImageTag != nil || in.ImageDigest != nil {
		x.Image = &images.Reference{Tag: optional.Value(in.ImageTag), Digest: digest.Digest(optional.Value(in.ImageDigest))}
	}
	scope := pagetoken.NewScope("ExplainLifecycle", id.ARN(), optional.Value(in.PolicyText), optional.Value(in.ImageTag), optional.Value(in.ImageDigest))
	cursor, err := scope.Cursor(in.NextToken, 3)
	if err != nil {
		return nil, invalidToken("ExplainLifecycle")
	}
	if in.NextToken != nil {
		x.From.Digest = cursor[1]
		x.From.Age, err = strconv.ParseInt(cursor[0], 10, 64)
		if err != nil || json.Unmarshal([]byte(cursor[2]), &x.From.Younger) != nil {
			return nil, invalidToken("ExplainLifecycle")
		}
	}
	list, next, err := a.c.Images.ExplainLifecycle(ctx, id, x)
	if err != nil {
		return nil, err
	}
	out := &operatormodel.ExplainLifecycleOutput{Images: []operatormodel.LifecycleVerdict{}}
	for i := range list {
		out.Images = append(out.Images, a.lifecycleVerdict(&list[i]))
	}
	if next != nil {
		younger, err := json.Marshal(next.Younger)
		if err != nil {
			return nil, err
		}
		out.NextToken = scope.Next(true, strconv.FormatInt(next.Age, 10), next.Digest, string(younger))
	}
	return out, nil
}

func (a *API) lifecycleVerdict(v *images.LifecycleVerdict) operatormodel.LifecycleVerdict {
	out := operatormodel.LifecycleVerdict{
		ImageDigest: string(v.Digest), ImageTags: append([]string{}, v.Tags...), PushedAt: v.PushedAt, LastPulledAt: optional.Time(v.PulledAt),
		Decision: "kept", ListedBy: optional.Text(v.ListedBy), Follows: optional.Text(v.Follows), Rules: []operatormodel.LifecycleFinding{},
	}
	switch {
	case v.Follows != "":
		out.Decision = "follows"
	case v.Acting != nil && v.ListedBy != "", v.ListedBy != "" && len(v.Tags) == 0:
		out.Decision = "protected"
	case v.Acting != nil && v.Acting.Action == lifecycle.Transition:
		out.Decision = "archived"
	case v.Acting != nil:
		out.Decision = "expired"
	}
	if v.Acting != nil {
		out.RulePriority = new(int32(v.Acting.Priority))
	}
	for i := range v.Findings {
		f := &v.Findings[i]
		out.Rules = append(out.Rules, operatormodel.LifecycleFinding{
			RulePriority: int32(f.Rule.Priority), Identified: f.Identified, Marked: f.Marked, Shielded: f.Shielded, Reason: a.reason(v, f),
		})
	}
	return out
}

// reason says in words why a rule identifies and marks an image, or does not.
func (a *API) reason(v *images.LifecycleVerdict, f *lifecycle.Finding) string {
	s := &f.Rule.Selection
	if !f.Identified {
		switch {
		case v.Follows != "" || v.ListedBy != "" && len(v.Tags) == 0:
			return "the image belongs to another one"
		case (v.Status == images.Archived) != (s.StorageClass == lifecycle.Archive):
			return "the image is in another storage class"
		case s.TagStatus == lifecycle.Untagged:
			return "the image has a tag"
		}
		return "not every entry of the list matches a tag"
	}
	if s.CountType == lifecycle.ImageCountMoreThan {
		return fmt.Sprintf("%d younger images match; the rule keeps %d", f.Younger, s.Count)
	}
	since, verb := v.Since, "pushed"
	switch {
	case v.Status == images.Archived:
		verb = "archived"
	case v.Since.After(v.PushedAt):
		verb = "restored"
	}
	if s.CountType == lifecycle.SinceImagePulled && v.PulledAt.After(since) {
		since, verb = v.PulledAt, "pulled"
	}
	return fmt.Sprintf("%s %.1f days ago; the limit is %d", verb, a.c.Now().Sub(since).Hours()/24, s.Count)
}

// RunLifecycle begins to apply the lifecycle policy of a repository.
func (a *API) RunLifecycle(ctx context.Context, in *operatormodel.RunLifecycleInput) (*operatormodel.RunLifecycleOutput, error) {
	run, err := a.c.Images.RunLifecycle(ctx, imageRepository(ctx, in.RegistryID, in.RepositoryName))
	if err != nil {
		return nil, err
	}
	return &operatormodel.RunLifecycleOutput{Run: lifecycleRun(&run)}, nil
}

// ListLifecycleRuns returns a page of the runs of a repository, or one run.
func (a *API) ListLifecycleRuns(ctx context.Context, in *operatormodel.ListLifecycleRunsInput) (*operatormodel.ListLifecycleRunsOutput, error) {
	id := imageRepository(ctx, in.RegistryID, in.RepositoryName)
	if in.RunID != nil {
		run, err := a.c.Images.LifecycleRun(ctx, id, *in.RunID)
		if err != nil {
			return nil, err
		}
		return &operatormodel.ListLifecycleRunsOutput{Runs: []operatormodel.LifecycleRun{lifecycleRun(&run)}}, nil
	}
	scope := pagetoken.NewScope("ListLifecycleRuns", id.ARN())
	cursor, err := scope.Cursor(in.NextToken, 2)
	if err != nil {
		return nil, invalidToken("ListLifecycleRuns")
	}
	var after images.LifecycleRun
	if in.NextToken != nil {
		created, err := strconv.ParseInt(cursor[0], 10, 64)
		if err != nil {
			return nil, invalidToken("ListLifecycleRuns")
		}
		after = images.LifecycleRun{ID: cursor[1], Created: time.UnixMicro(created)}
	}
	page, more, err := a.c.Images.LifecycleRuns(ctx, id, after, pageSize(in.MaxResults))
	if err != nil {
		return nil, err
	}
	out := &operatormodel.ListLifecycleRunsOutput{Runs: []operatormodel.LifecycleRun{}}
	for i := range page {
		out.Runs = append(out.Runs, lifecycleRun(&page[i]))
		out.NextToken = scope.Next(more, strconv.FormatInt(page[i].Created.UnixMicro(), 10), page[i].ID)
	}
	return out, nil
}

// UndoLifecycle begins to bring back what a run has removed.
func (a *API) UndoLifecycle(ctx context.Context, in *operatormodel.UndoLifecycleInput) (*operatormodel.UndoLifecycleOutput, error) {
	run, err := a.c.Images.UndoLifecycle(ctx, imageRepository(ctx, in.RegistryID, in.RepositoryName), in.RunID)
	if err != nil {
		return nil, err
	}
	return &operatormodel.UndoLifecycleOutput{Run: lifecycleRun(&run)}, nil
}

func lifecycleRun(r *images.LifecycleRun) operatormodel.LifecycleRun {
	return operatormodel.LifecycleRun{
		RunID: r.ID, State: string(r.State), StartedBy: optional.Text(r.StartedBy), CreatedAt: r.Created, FinishedAt: optional.Time(r.Finished), UndoUntil: optional.Time(r.UndoUntil),
		ImageCount: r.Images, Removed: r.Removed, Restored: r.Restored, Archived: r.Archived, Message: optional.Text(r.Message),
	}
}

// PutDefaultLifecyclePolicy sets the default lifecycle policy of a registry.
func (a *API) PutDefaultLifecyclePolicy(ctx context.Context, in *operatormodel.PutDefaultLifecyclePolicyInput) (*operatormodel.PutDefaultLifecyclePolicyOutput, error) {
	r := imageRepository(ctx, in.RegistryID, "")
	p, err := a.c.Images.PutDefaultLifecyclePolicy(ctx, r.Account, r.Region, in.PolicyText)
	if err != nil {
		return nil, err
	}
	return &operatormodel.PutDefaultLifecyclePolicyOutput{Policy: defaultLifecycle(p)}, nil
}

// GetDefaultLifecyclePolicy returns the default lifecycle policy of a registry.
func (a *API) GetDefaultLifecyclePolicy(ctx context.Context, in *operatormodel.GetDefaultLifecyclePolicyInput) (*operatormodel.GetDefaultLifecyclePolicyOutput, error) {
	r := imageRepository(ctx, in.RegistryID, "")
	p, err := a.c.Images.DefaultLifecyclePolicy(ctx, r.Account, r.Region)
	if err != nil {
		return nil, err
	}
	return &operatormodel.GetDefaultLifecyclePolicyOutput{Policy: defaultLifecycle(p)}, nil
}

func defaultLifecycle(p images.DefaultLifecyclePolicy) operatormodel.DefaultLifecyclePolicy {
	return operatormodel.DefaultLifecyclePolicy{PolicyText: p.Document, ChangedAt: p.Changed, ChangedBy: p.ChangedBy}
}

// DeleteDefaultLifecyclePolicy removes the default lifecycle policy of a registry.
func (a *API) DeleteDefaultLifecyclePolicy(ctx context.Context, in *operatormodel.DeleteDefaultLifecyclePolicyInput) (*operatormodel.DeleteDefaultLifecyclePolicyOutput, error) {
	r := imageRepository(ctx, in.RegistryID, "")
	err := a.c.Images.DeleteDefaultLifecyclePolicy(ctx, r.Account, r.Region)
	if err != nil {
		return nil, err
	}
	return new(operatormodel.DeleteDefaultLifecyclePolicyOutput), nil
}
