package signing

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// A Sealer encrypts keys. It is *token.Keyring, whose comments say what the methods do.
type Sealer interface {
	SealSecret(place string, secret []byte) (sealed []byte, keyID string, err error)
	OpenSecret(place string, sealed []byte) ([]byte, error)
	ActiveKeyID() string
}

// Config has what a [Service] needs. All fields are required.
type Config struct {
	DB     *db.DB
	Authz  authz.Authorizer
	Sealer Sealer
	Now    func() time.Time
}

// A Service has the profiles. It is safe for concurrent use.
type Service struct{ c Config }

// New applies the migrations and returns the service.
func New(ctx context.Context, c Config) (*Service, error) {
	if err := c.DB.Migrate(ctx, Migrations()...); err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	return &Service{c}, nil
}

// Platform is the only signing platform, and PlatformName is how people call it.
const (
	Platform     = "Notation-OCI-SHA384-ECDSA"
	PlatformName = "Notation for container registries"
)

// A ProfileID names a profile.
type ProfileID struct{ Account, Region, Name string }

// ARN returns the name as an ARN.
func (id ProfileID) ARN() string {
	return arn.New("signer", id.Region, id.Account, "/signing-profiles/"+id.Name).String()
}

// ParseARN is the inverse of [ProfileID.ARN].
func ParseARN(text string) (ProfileID, error) {
	a, err := arn.Parse(text)
	name, ok := strings.CutPrefix(a.Resource, "/signing-profiles/")
	if err != nil || !ok || a.Service != "signer" || name == "" {
		return ProfileID{}, fmt.Errorf("signing: %q is not the ARN of a signing profile", text)
	}
	return ProfileID{a.AccountID, a.Region, name}, nil
}

// The statuses of a profile.
const (
	Active   = "Active"
	Canceled = "Canceled"
)

// A Validity is how long signatures are valid.
type Validity struct {
	Value int64
	Unit  string // DAYS, MONTHS or YEARS
}

// defaultValidity is also the longest (AWS Signer Developer Guide, "Signing profiles").
var defaultValidity = Validity{135, "MONTHS"}

// from returns when a signature of a moment expires. ok is false if the validity is none.
func (v Validity) from(t time.Time) (end time.Time, ok bool) {
	if v.Value < 1 || v.Value > 5000 {
		return t, false
	}
	n := int(v.Value)
	switch v.Unit {
	case "DAYS":
		end = t.AddDate(0, 0, n)
	case "MONTHS":
		end = t.AddDate(0, n, 0)
	case "YEARS":
		end = t.AddDate(n, 0, 0)
	default:
		return t, false
	}
	return end, !end.After(t.AddDate(0, 135, 0))
}

// A Profile is a signing profile.
type Profile struct {
	ProfileID
	// Version changes whenever the profile is put: ten letters and digits.
	Version  string
	Validity Validity
	Status   string
	Tags     map[string]string
}

// VersionARN names the version of the profile.
func (p *Profile) VersionARN() string { return p.ARN() + "/" + p.Version }

const profileColumns = `account, region, name, version, validity, unit, status, tags`

func scanProfile(r db.Row) (*Profile, error) {
	p := new(Profile)
	var tags []byte
	if err := r.Scan(&p.Account, &p.Region, &p.Name, &p.Version, &p.Validity.Value, &p.Validity.Unit, &p.Status, &tags); err != nil {
		return nil, err
	}
	return p, json.Unmarshal(tags, &p.Tags)
}

// read returns a profile. Fault: ResourceNotFound.
func read(ctx context.Context, q db.Querier, id ProfileID) (*Profile, error) {
	p, err := db.One(ctx, q, scanProfile, `SELECT `+profileColumns+` FROM signing_profile WHERE arn = $1`, id.ARN())
	if errors.Is(err, db.ErrNoRows) {
		return nil, fault.New(fault.NotFound, "ResourceNotFound", "The signing profile %s does not exist.", id.Name)
	}
	return p, err
}

// authorize authorizes an action on a profile, which may not exist.
func (s *Service) authorize(ctx context.Context, action string, id ProfileID, tags map[string]string) error {
	p, err := read(ctx, s.c.DB, id)
	if err != nil && !fault.Is(err, "ResourceNotFound") {
		return err
	}
	req := authz.Request{Action: "signer:" + action, Resource: id.ARN(), Account: id.Account, RequestTags: tags}
	if p != nil {
		req.ResourceTags = p.Tags
	}
	return s.c.Authz.Authorize(ctx, &req)
}

// Put creates a profile, or gives one a new version with a new key. A zero validity is that of
// AWS. Action signer:PutSigningProfile. Faults: AccessDenied, Validation.
func (s *Service) Put(ctx context.Context, id ProfileID, v Validity, tags map[string]string) (*Profile, error) {
	if err := s.authorize(ctx, "PutSigningProfile", id, tags); err != nil {
		return nil, err
	}
	if v == (Validity{}) {
		v = defaultValidity
	}
	now := s.c.Now()
	if _, ok := v.from(now); !ok {
		return nil, fault.New(fault.Invalid, "Validation", "The signature validity period must be a number of DAYS, MONTHS or YEARS, and at most 135 months.")
	}
	p := &Profile{ProfileID: id, Version: newVersion(), Validity: v, Status: Active, Tags: tags}
	text, err := json.Marshal(tags)
	if err != nil {
		return nil, err
	}
	root, err := s.root(ctx, id.Account)
	if err != nil {
		return nil, err
	}
	k, err := s.newKey(p, root, now)
	if err != nil {
		return nil, err
	}
	err = s.c.DB.Tx(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO signing_profile (arn, `+profileColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
			ON CONFLICT (arn) DO UPDATE SET version = excluded.version, validity = excluded.validity, unit = excluded.unit, status = excluded.status, tags = excluded.tags`,
			id.ARN(), id.Account, id.Region, id.Name, p.Version, v.Value, v.Unit, Active, string(text))
		if err != nil {
			return err
		}
		return k.insert(ctx, tx)
	})
	return p, err
}

// newVersion returns the name of a version.
func newVersion() string { return rand.Text()[:10] }

// Get returns a profile. Action signer:GetSigningProfile. Faults: AccessDenied,
// ResourceNotFound.
func (s *Service) Get(ctx context.Context, id ProfileID) (*Profile, error) {
	if err := s.authorize(ctx, "GetSigningProfile", id, nil); err != nil {
		return nil, err
	}
	return read(ctx, s.c.DB, id)
}

// Cancel makes a profile sign nothing any more. Its signatures stay valid. Action
// signer:CancelSigningProfile. Faults: AccessDenied, ResourceNotFound.
func (s *Service) Cancel(ctx context.Context, id ProfileID) error {
	if err := s.authorize(ctx, "CancelSigningProfile", id, nil); err != nil {
		return err
	}
	return s.c.DB.Tx(ctx, func(tx *db.Tx) error {
		if _, err := read(ctx, tx, id); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE signing_profile SET status = $2 WHERE arn = $1`, id.ARN(), Canceled)
		return err
	})
}

// List lists profiles of an account in a region by name: those after the name after, at most
// limit of them, that have one of the statuses. Action signer:ListSigningProfiles. Fault:
// AccessDenied.
func (s *Service) List(ctx context.Context, account, region, after string, statuses []string, limit int) (list []*Profile, more bool, err error) {
	if err := s.c.Authz.Authorize(ctx, &authz.Request{Action: "signer:ListSigningProfiles", Resource: "*", Account: account}); err != nil {
		return nil, false, err
	}
	for len(list) <= limit {
		page, err := db.All(ctx, s.c.DB, scanProfile, `SELECT `+profileColumns+` FROM signing_profile WHERE account = $1 AND region = $2 AND name > $3 ORDER BY name LIMIT $4`, account, region, after, limit+1)
		if err != nil {
			return nil, false, err
		}
		for _, p := range page {
			after = p.Name
			for _, st := range statuses {
				if st == p.Status {
					list = append(list, p)
				}
			}
		}
		if len(page) <= limit {
			break
		}
	}
	if len(list) > limit {
		return list[:limit], true, nil
	}
	return list, false, nil
}
