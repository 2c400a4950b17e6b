package secrets

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/randid"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// Limits (AWS Secrets Manager User Guide, "Quotas"), except for maxSecrets.
const (
	maxValue    = 65536 // bytes
	maxVersions = 100   // of a secret
	maxSecrets  = 10_000
)

// A Value is the value of a version. It must not be printed.
type Value struct {
	Bytes []byte
	// Binary says that it is SecretBinary and not SecretString.
	Binary bool
}

// String keeps a value from being printed by accident.
func (Value) String() string { return "(a secret)" }

// A NewSecret is a secret to be created.
type NewSecret struct {
	Name, Description, KMSKey string
	Tags                      map[string]string
	// Value is nil for a secret without a version.
	Value *Value
	// Token is the id of the version; empty means a random one. A repeated request with the
	// same token and value changes nothing.
	Token string
}

// Create creates a secret. It returns the id of the version, if there is one. Actions
// secretsmanager:CreateSecret and, with tags, secretsmanager:TagResource. Faults:
// AccessDenied, InvalidParameter, InvalidRequest, ResourceExists, LimitExceeded.
func (s *Service) Create(ctx context.Context, p Place, n NewSecret) (_ *Secret, version string, err error) {
	now := s.now()
	x := &Secret{Place: p, Name: n.Name, ARN: newARN(p, n.Name), Description: n.Description, KMSKey: n.KMSKey, Created: now, Changed: now, row: randid.Row()}
	if err := s.authorizeCreate(ctx, x, n); err != nil {
		return nil, "", err
	}
	if !validName.MatchString(n.Name) {
		return nil, "", invalidParameter("Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!")
	}
	if x.Tags, err = mergeTags(nil, n.Tags); err != nil {
		return nil, "", err
	}
	tags, err := json.Marshal(x.Tags)
	if err != nil {
		return nil, "", err
	}
	if n.Token == "" {
		n.Token = randid.UUID()
	}
	err = s.c.DB.Tx(ctx, func(tx *db.Tx) error {
		version = ""
		old, err := db.All(ctx, tx, scanSecret, `SELECT `+secretColumns+` FROM secret WHERE account = $1 AND region = $2 AND name = $3`, p.Account, p.Region, n.Name)
		if err != nil {
			return err
		}
		if len(old) > 0 && old[0].gone(now) {
			if _, err := tx.Exec(ctx, `DELETE FROM secret WHERE id = $1`, old[0].row); err != nil {
				return err
			}
			old = nil
		}
		if len(old) > 0 {
			version, err = s.repeated(ctx, tx, old[0], n)
			if err == nil {
				*x = *old[0]
			}
			return err
		}
		count, err := db.One(ctx, tx, db.Scalar[int64], `SELECT count(*) FROM secret WHERE account = $1 AND region = $2`, p.Account, p.Region)
		if err != nil {
			return err
		}
		if count >= maxSecrets {
			return fault.New(fault.Limit, "LimitExceeded", "An account has at most %d secrets in a region.", maxSecrets)
		}
		if _, err = tx.Exec(ctx, `INSERT INTO secret (`+secretColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, 0, 0)`,
			x.row, p.Account, p.Region, x.Name, x.ARN, x.Description, x.KMSKey, string(tags), db.Micros(now), db.Micros(now)); err != nil || n.Value == nil {
			return err
		}
		version = n.Token
		return s.insertVersion(ctx, tx, x, n.Token, *n.Value, []string{Current})
	})
	return x, version, err
}

func (s *Service) now() time.Time { return s.c.Now().UTC().Truncate(time.Microsecond) }

func (s *Service) authorizeCreate(ctx context.Context, x *Secret, n NewSecret) error {
	actions := []string{"secretsmanager:CreateSecret"}
	if len(n.Tags) > 0 {
		actions = append(actions, "secretsmanager:TagResource")
	}
	for _, action := range actions {
		req := authz.Request{Action: action, Resource: x.ARN, Account: x.Account, RequestTags: n.Tags, Keys: map[string][]string{
			"secretsmanager:Name": {n.Name}, "secretsmanager:SecretId": {x.ARN}, "secretsmanager:Description": {n.Description}, "secretsmanager:KmsKeyId": {n.KMSKey},
		}}
		if err := s.c.Authz.Authorize(ctx, &req); err != nil {
			return err
		}
	}
	return nil
}

// repeated answers a request to create a secret that exists. If it is the request that
// created it, nothing is wrong.
func (s *Service) repeated(ctx context.Context, tx *db.Tx, x *Secret, n NewSecret) (version string, err error) {
	if !x.Deleted.IsZero() {
		return "", fault.New(fault.Conflict, "InvalidRequest", "You can't create this secret because a secret with this name is already scheduled for deletion.")
	}
	if n.Value != nil {
		if known, same, err := s.sameVersion(ctx, tx, x, n.Token, *n.Value); err != nil || known && same {
			return n.Token, err
		}
	}
	return "", fault.New(fault.Conflict, "ResourceExists", "The operation failed because the secret %s already exists.", x.Name)
}

// A Put is a version to be added.
type Put struct {
	Value Value
	// Token is as in [NewSecret].
	Token string
	// Stages are the staging labels; none means AWSCURRENT.
	Stages []string
}

// Put adds a version. It returns the version's id and labels. Action
// secretsmanager:PutSecretValue. Faults: AccessDenied, ResourceNotFound, InvalidRequest,
// InvalidParameter, ResourceExists, LimitExceeded.
func (s *Service) Put(ctx context.Context, p Place, id string, in Put) (*Secret, Version, error) {
	if in.Token == "" {
		in.Token = randid.UUID()
	}
	if len(in.Stages) == 0 {
		in.Stages = []string{Current}
	}
	var v Version
	req := authz.Request{Action: "secretsmanager:PutSecretValue", Keys: map[string][]string{"secretsmanager:VersionId": {in.Token}}}
	x, err := s.change(ctx, p, id, req, func(tx *db.Tx, x *Secret) (err error) {
		v, err = s.put(ctx, tx, x, in)
		return err
	})
	return x, v, err
}

func (s *Service) put(ctx context.Context, tx *db.Tx, x *Secret, in Put) (Version, error) {
	if err := x.checkUsable(); err != nil {
		return Version{}, err
	}
	known, same, err := s.sameVersion(ctx, tx, x, in.Token, in.Value)
	switch {
	case err != nil:
		return Version{}, err
	case known && !same:
		return Version{}, fault.New(fault.Conflict, "ResourceExists", "You can't use ClientRequestToken %s because that value is already in use for a version of secret %s.", in.Token, x.ARN)
	}
	if !known {
		if err := s.insertVersion(ctx, tx, x, in.Token, in.Value, in.Stages); err != nil {
			return Version{}, err
		}
		if _, err := tx.Exec(ctx, `UPDATE secret SET changed = $2 WHERE id = $1`, x.row, db.Micros(s.now())); err != nil {
			return Version{}, err
		}
	}
	all, err := versions(ctx, tx, x)
	if err != nil {
		return Version{}, err
	}
	return all[slices.IndexFunc(all, func(v Version) bool { return v.ID == in.Token })], nil
}

// sealPlace is what a value is bound to.
func sealPlace(arn, version string) string { return "secret " + arn + " " + version }

// sameVersion reports whether a version is there, and has the value.
func (s *Service) sameVersion(ctx context.Context, q db.Querier, x *Secret, version string, want Value) (known, same bool, err error) {
	got, err := s.readVersion(ctx, q, x, version)
	if errors.Is(err, db.ErrNoRows) {
		return false, false, nil
	}
	return err == nil, err == nil && got.Binary == want.Binary && subtle.ConstantTimeCompare(got.Bytes, want.Bytes) == 1, err
}

func (s *Service) readVersion(ctx context.Context, q db.Querier, x *Secret, version string) (v Value, err error) {
	var sealed []byte
	var isBinary int64
	_, err = db.One(ctx, q, func(r db.Row) (struct{}, error) { return struct{}{}, r.Scan(&isBinary, &sealed) },
		`SELECT is_binary, sealed FROM secret_version WHERE secret = $1 AND id = $2`, x.row, version)
	if err != nil {
		return v, err
	}
	v.Binary = isBinary == 1
	if v.Bytes, err = s.c.Sealer.OpenSecret(sealPlace(x.ARN, version), sealed); err != nil {
		return v, fault.Wrap(err, fault.Invalid, "DecryptionFailure", "Secrets Manager can't decrypt the protected secret text using the provided KMS key.")
	}
	return v, nil
}

// versions returns all versions, the oldest first.
func versions(ctx context.Context, q db.Querier, x *Secret) ([]Version, error) {
	return db.All(ctx, q, func(r db.Row) (v Version, err error) {
		var stages []byte
		var created int64
		if err := r.Scan(&v.ID, &stages, &created); err != nil {
			return v, err
		}
		v.Created = db.Time(created)
		return v, json.Unmarshal(stages, &v.Stages)
	}, `SELECT id, stages, created FROM secret_version WHERE secret = $1 ORDER BY created, id`, x.row)
}

// insertVersion adds a version and moves the staging labels to it.
func (s *Service) insertVersion(ctx context.Context, tx *db.Tx, x *Secret, id string, value Value, stages []string) error {
	if len(value.Bytes) == 0 || len(value.Bytes) > maxValue {
		return invalidParameter("A secret has 1 to %d bytes.", maxValue)
	}
	all, err := versions(ctx, tx, x)
	if err != nil {
		return err
	}
	// The first version is current, whatever its labels are.
	if len(all) == 0 && !slices.Contains(stages, Current) {
		stages = append(slices.Clone(stages), Current)
	}
	moved := moveStages(all, stages)
	for i, v := range moved {
		if slices.Equal(v.Stages, all[i].Stages) {
			continue
		}
		if err := setStages(ctx, tx, x, v.ID, v.Stages); err != nil {
			return err
		}
	}
	if len(moved) >= maxVersions {
		// Versions without a label are deprecated: the oldest one goes.
		oldest := slices.IndexFunc(moved, func(v Version) bool { return len(v.Stages) == 0 })
		if oldest < 0 {
			return fault.New(fault.Limit, "LimitExceeded", "A secret has at most %d versions with staging labels.", maxVersions)
		}
		if _, err := tx.Exec(ctx, `DELETE FROM secret_version WHERE secret = $1 AND id = $2`, x.row, moved[oldest].ID); err != nil {
			return err
		}
	}
	sealed, key, err := s.c.Sealer.SealSecret(sealPlace(x.ARN, id), value.Bytes)
	if err != nil {
		return err
	}
	isBinary := 0
	if value.Binary {
		isBinary = 1
	}
	text, err := json.Marshal(stages)
	if err != nil {
		return err
	}
	// Later than the versions before it, also if they came in the same moment.
	created := s.now()
	if n := len(all); n > 0 && !created.After(all[n-1].Created) {
		created = all[n-1].Created.Add(time.Microsecond)
	}
	_, err = tx.Exec(ctx, `INSERT INTO secret_version (secret, id, stages, is_binary, sealed, sealed_by, created) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		x.row, id, string(text), isBinary, sealed, key, db.Micros(created))
	return err
}

// moveStages returns the versions without the labels that a new one takes. What was current
// is the previous one then.
func moveStages(all []Version, taken []string) []Version {
	out := slices.Clone(all)
	for i := range out {
		v := &out[i]
		wasCurrent := slices.Contains(v.Stages, Current) && slices.Contains(taken, Current)
		stages := []string{}
		for _, stage := range v.Stages {
			if !slices.Contains(taken, stage) && (stage != Previous || !slices.Contains(taken, Current)) {
				stages = append(stages, stage)
			}
		}
		if wasCurrent && !slices.Contains(taken, Previous) {
			stages = append(stages, Previous)
		}
		v.Stages = stages
	}
	return out
}

func setStages(ctx context.Context, tx *db.Tx, x *Secret, version string, stages []string) error {
	text, err := json.Marshal(stages)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE secret_version SET stages = $3 WHERE secret = $1 AND id = $2`, x.row, version, string(text))
	return err
}

// Get returns a value: of the version with an id, with a staging label, or with both. Without
// either it is the current one. Action secretsmanager:GetSecretValue. Faults: AccessDenied,
// ResourceNotFound, InvalidRequest, DecryptionFailure.
func (s *Service) Get(ctx context.Context, p Place, id, version, stage string) (*Secret, Version, Value, error) {
	if version == "" && stage == "" {
		stage = Current
	}
	req := authz.Request{Action: "secretsmanager:GetSecretValue", Keys: map[string][]string{}}
	if version != "" {
		req.Keys["secretsmanager:VersionId"] = []string{version}
	}
	if stage != "" {
		req.Keys["secretsmanager:VersionStage"] = []string{stage}
	}
	x, err := s.authorize(ctx, p, id, req)
	if err != nil {
		return nil, Version{}, Value{}, err
	}
	v, value, err := s.read(ctx, x, version, stage)
	return x, v, value, err
}

func (s *Service) read(ctx context.Context, x *Secret, version, stage string) (Version, Value, error) {
	if err := x.checkUsable(); err != nil {
		return Version{}, Value{}, err
	}
	all, err := versions(ctx, s.c.DB, x)
	if err != nil {
		return Version{}, Value{}, err
	}
	for _, v := range all {
		if version != "" && v.ID != version || stage != "" && !slices.Contains(v.Stages, stage) {
			continue
		}
		value, err := s.readVersion(ctx, s.c.DB, x, v.ID)
		if err != nil {
			return v, Value{}, err
		}
		return v, value, s.noteAccess(ctx, x)
	}
	if version != "" {
		return Version{}, Value{}, fault.New(fault.NotFound, "ResourceNotFound", "Secrets Manager can't find the specified secret value for VersionId: %s", version)
	}
	return Version{}, Value{}, fault.New(fault.NotFound, "ResourceNotFound", "Secrets Manager can't find the specified secret value for staging label: %s", stage)
}

// noteAccess stores the day of a reading, once a day.
func (s *Service) noteAccess(ctx context.Context, x *Secret) error {
	day := s.now().Truncate(24 * time.Hour)
	if x.Accessed.Equal(day) {
		return nil
	}
	return s.c.DB.Tx(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE secret SET accessed = $2 WHERE id = $1 AND accessed < $2`, x.row, db.Micros(day))
		return err
	})
}

// ErrUnreadable is the error of [Service.ReadForService] for a secret that exists and has
// no value that can be read.
var ErrUnreadable = errors.New("secrets: the secret has no value that can be read")

// ReadForService returns the current value of a secret for the server itself. The caller is
// not asked: whoever made the server use the secret was. So the secret is named by its whole
// ARN. A name, or an ARN without the six characters, could be another secret now, which that
// caller may not read. Fault: ResourceNotFound; error: [ErrUnreadable].
func (s *Service) ReadForService(ctx context.Context, p Place, arn string) ([]byte, error) {
	x, _, err := s.find(ctx, s.c.DB, p, arn)
	if err != nil {
		return nil, err
	}
	if x == nil || x.ARN != arn || x.Place != p {
		return nil, notFound()
	}
	_, v, err := s.read(ctx, x, "", Current)
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return nil, errors.Join(ErrUnreadable, f)
	}
	return bytes.Clone(v.Bytes), err
}
