package token_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

var (
	noon     = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	purposes = []token.Purpose{token.Session, token.CodeArtifact, token.ECR}
)

func at(t time.Time) func() time.Time { return func() time.Time { return t } }

func typical() token.Claims {
	return token.Claims{
		ID: "ABIA2222333344445555", Account: "000000000001", PrincipalID: "AIDA2222333344445555A",
		AccessKeyID: "AKIA2222333344445555", Issued: noon, Expires: noon.Add(12 * time.Hour), Region: "us-east-1",
	}
}

// maximal has the longest values that the services allow.
func maximal() token.Claims {
	return token.Claims{
		ID: "ABIA2222333344445555", Account: "999999999999", PrincipalID: "AROA2222333344445555A",
		SessionName: strings.Repeat("s", 64), SessionID: strings.Repeat("i", 36), AccessKeyID: "ASIA2222333344445555",
		SessionIssued: noon.Add(-time.Hour), SessionExpires: noon.Add(11 * time.Hour),
		Issued: noon, Expires: noon.Add(12 * time.Hour), Region: "ap-southeast-7-local-zone",
		Domain: strings.Repeat("d", 50), DomainOwner: "999999999999",
	}
}

func mint(t testing.TB, k *token.Keyring, p token.Purpose, c token.Claims) string {
	t.Helper()
	s, err := k.Mint(p, c)
	if err != nil {
		t.Fatalf("Mint: %v", err)
	}
	return s
}

// refused fails unless Open refuses the token as invalid.
func refused(t testing.TB, k *token.Keyring, p token.Purpose, s string) *fault.Error {
	t.Helper()
	c, err := k.Open(p, s)
	if !fault.Is(err, "InvalidToken") || c != (token.Claims{}) {
		t.Fatalf("Open(%q) = %+v, %v, want InvalidToken", s, c, err)
	}
	return fault.From(err)
}

func TestMint_RoundTrip(t *testing.T) {
	k := newKeyring(t, at(noon))
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(0, 20, 33)
		second := rapid.Int64Range(1, 1<<40-1)
		var c token.Claims
		// Whatever fields the claims have, so that none is forgotten.
		v := reflect.ValueOf(&c).Elem()
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			switch f := v.Field(i).Addr().Interface().(type) {
			case *string:
				*f = text.Draw(t, name)
			case *time.Time:
				if rapid.Bool().Draw(t, "has "+name) {
					*f = time.Unix(second.Draw(t, name), 0).UTC()
				}
			default:
				t.Fatalf("the test cannot fill %s", name)
			}
		}
		c.Expires = noon.Add(time.Duration(rapid.Int64Range(1, int64(token.LongestLife/time.Second)).Draw(t, "lifetime")) * time.Second)
		if c.Issued.After(c.Expires) {
			c.Issued = noon
		}
		p := rapid.SampledFrom(purposes).Draw(t, "purpose")
		s, err := k.Mint(p, c)
		if err != nil {
			t.Fatal(err)
		}
		got, err := k.Open(p, s)
		if err != nil || got != c {
			t.Fatalf("Open = %+v, %v, want %+v", got, err, c)
		}
	})
}

func TestMint_Form(t *testing.T) {
	k := newKeyring(t, at(noon))
	form := regexp.MustCompile(`^gh[ces]t_[A-Za-z0-9_-]{100,}$`)
	seen := map[string]bool{}
	for _, p := range purposes {
		for _, c := range []token.Claims{typical(), maximal()} {
			s := mint(t, k, p, c)
			if len(s) > token.MaxLength || !form.MatchString(s) {
				t.Errorf("a %s of %d characters: %s", p, len(s), s)
			}
			if again := mint(t, k, p, c); again == s {
				t.Error("the same token twice")
			}
			seen[s[:5]] = true
		}
	}
	if len(seen) != len(purposes) {
		t.Errorf("the prefixes are %v", seen)
	}
}

// The tightest of the clients takes 512 characters, and no claims make a longer
// token.
func TestMint_MaxLength(t *testing.T) {
	k := newKeyring(t, at(noon))
	longest := 0
	for n := range 256 {
		c := typical()
		c.SessionName = strings.Repeat("s", n)
		c.Domain = strings.Repeat("d", n/2)
		s, err := k.Mint(token.CodeArtifact, c)
		if err != nil {
			continue
		}
		longest = max(longest, len(s))
		if _, err := k.Open(token.CodeArtifact, s); err != nil {
			t.Errorf("%d characters: %v", len(s), err)
		}
	}
	if longest > 512 || longest < 510 {
		t.Errorf("the longest token has %d characters, want 512 or a little less", longest)
	}
}

// The parts of a frame stand where they are documented to stand, and the key that
// sealed it is the one that is named.
func TestMint_Frame(t *testing.T) {
	k := newKeyring(t, at(noon))
	nonces := map[string]bool{}
	for _, p := range purposes {
		text := mint(t, k, p, typical())
		frame, err := base64.RawURLEncoding.DecodeString(text[len("ghxt_"):])
		if err != nil {
			t.Fatal(err)
		}
		if frame[0] != 1 || hex.EncodeToString(frame[1:5]) != k.ActiveKeyID() {
			t.Errorf("a %s begins with %x, and the key is %s", p, frame[:5], k.ActiveKeyID())
		}
		nonces[string(frame[5:29])] = true
		payload := 4*5 + 9 // four times, and the lengths of nine texts
		for _, field := range []string{"ABIA2222333344445555", "000000000001", "AIDA2222333344445555A", "AKIA2222333344445555", "us-east-1"} {
			payload += len(field)
			if bytes.Contains(frame, []byte(field)) {
				t.Errorf("%s can be read in a %s", field, p)
			}
		}
		if len(frame) != 1+4+24+payload+16 {
			t.Errorf("the frame has %d bytes, want %d", len(frame), 1+4+24+payload+16)
		}
	}
	if len(nonces) != len(purposes) {
		t.Error("a nonce is used twice")
	}
}

func TestOpen_FlippedBits(t *testing.T) {
	k := newKeyring(t, at(noon))
	s := mint(t, k, token.ECR, maximal())
	for i := range len(s) {
		for bit := range 8 {
			b := []byte(s)
			b[i] ^= 1 << bit
			refused(t, k, token.ECR, string(b))
		}
	}
	frame, err := base64.RawURLEncoding.DecodeString(s[5:])
	if err != nil {
		t.Fatal(err)
	}
	for i := range frame {
		for bit := range 8 {
			b := append([]byte(nil), frame...)
			b[i] ^= 1 << bit
			refused(t, k, token.ECR, s[:5]+base64.RawURLEncoding.EncodeToString(b))
		}
	}
}

func TestOpen_OtherText(t *testing.T) {
	k := newKeyring(t, at(noon))
	s := mint(t, k, token.ECR, typical())
	for i := range len(s) {
		refused(t, k, token.ECR, s[:i])
		refused(t, k, token.ECR, s[i+1:])
		for _, in := range []string{"\n", "\r", "=", " ", "A", "\x00"} {
			refused(t, k, token.ECR, s[:i]+in+s[i:])
		}
	}
	for _, after := range []string{"=", "==", "\n", "\r\n", "A", "AAAA", strings.Repeat("A", 1<<20)} {
		refused(t, k, token.ECR, s+after)
	}
	refused(t, k, token.ECR, "ghet_"+strings.ReplaceAll(s[5:], "_", "/")+"/")
	refused(t, newKeyring(t, at(noon)), token.ECR, s) // of another server
}

func TestOpen_OtherPurpose(t *testing.T) {
	k := newKeyring(t, at(noon))
	for _, p := range purposes {
		s := mint(t, k, p, typical())
		for _, other := range purposes {
			if other == p {
				continue
			}
			if m := refused(t, k, other, s).Message; !strings.Contains(m, p.String()) || !strings.Contains(m, "is not accepted here") {
				t.Errorf("the message does not say what was sent: %s", m)
			}
			// Nor with the prefix changed.
			refused(t, k, other, mint(t, k, other, typical())[:5]+s[5:])
		}
		if _, err := k.Open(0, s); err == nil {
			t.Error("a token opened for no purpose")
		}
		if _, err := k.Open(99, s); err == nil {
			t.Error("a token opened for an unknown purpose")
		}
	}
	if _, err := k.Mint(0, typical()); err == nil {
		t.Error("a token minted for no purpose")
	}
}

func TestOpen_Expiry(t *testing.T) {
	now := noon
	k := newKeyring(t, func() time.Time { return now })
	for p, renew := range map[token.Purpose]string{
		token.Session: "sts:AssumeRole", token.CodeArtifact: "aws codeartifact login", token.ECR: "aws ecr get-login-password",
	} {
		now = noon
		s := mint(t, k, p, typical())
		for _, good := range []time.Time{noon.Add(-time.Minute), noon, noon.Add(12*time.Hour - time.Nanosecond)} {
			now = good
			if _, err := k.Open(p, s); err != nil {
				t.Errorf("at %s: %v", now, err)
			}
		}
		for _, late := range []time.Time{noon.Add(12 * time.Hour), noon.Add(9000 * time.Hour)} {
			now = late
			c, err := k.Open(p, s)
			if !fault.Is(err, "ExpiredToken") || c != (token.Claims{}) {
				t.Fatalf("at %s: %+v, %v, want ExpiredToken", now, c, err)
			}
			m := fault.From(err)
			if m.Kind != fault.Expired || !strings.Contains(m.Message, "2026-03-15T00:00:00Z") || !strings.Contains(m.Message, renew) {
				t.Errorf("the message does not help: %s", m.Message)
			}
		}
	}
}

func TestMint_InvalidClaims(t *testing.T) {
	k := newKeyring(t, at(noon))
	for why, change := range map[string]func(*token.Claims){
		"no expiry":             func(c *token.Claims) { c.Expires = time.Time{} },
		"too long a life":       func(c *token.Claims) { c.Expires = noon.Add(token.LongestLife + token.MaxSkew + time.Second) },
		"expires before issue":  func(c *token.Claims) { c.Expires = c.Issued.Add(-time.Second) },
		"a time before 1970":    func(c *token.Claims) { c.SessionIssued = time.Unix(-1, 0) },
		"a time that overflows": func(c *token.Claims) { c.Expires = time.Unix(1<<40, 0) },
		"one text too long":     func(c *token.Claims) { c.SessionName = strings.Repeat("s", 256) },
		"all too long":          func(c *token.Claims) { c.SessionName, c.Domain = strings.Repeat("s", 200), strings.Repeat("d", 200) },
	} {
		c := typical()
		change(&c)
		if s, err := k.Mint(token.ECR, c); err == nil {
			t.Errorf("%s: minted %s", why, s)
		}
	}
}

func TestMintSession_SecretBoundToToken(t *testing.T) {
	k := newKeyring(t, at(noon))
	c := typical()
	c.ID = token.NewID(token.TemporaryKey)
	s, secret, err := k.MintSession(c)
	if err != nil {
		t.Fatal(err)
	}
	got, opened, err := k.OpenSession(s)
	if err != nil || got != c || opened != secret {
		t.Fatalf("OpenSession = %+v, %q, %v", got, opened, err)
	}
	if len(secret) != 40 || strings.Contains(s, secret) {
		t.Fatalf("the secret is %q", secret)
	}
	if plain, err := k.Open(token.Session, s); err != nil || plain != c {
		t.Errorf("Open = %+v, %v", plain, err)
	}
	c.ID = token.NewID(token.TemporaryKey)
	if _, other, err := k.MintSession(c); err != nil || other == secret {
		t.Errorf("another id, the same secret (%v)", err)
	}
	if _, secret, err := k.OpenSession(mint(t, k, token.ECR, c)); !fault.Is(err, "InvalidToken") || secret != "" {
		t.Errorf("OpenSession of an ECR token = %q, %v", secret, err)
	}
}

func TestIDs(t *testing.T) {
	for _, p := range []token.IDPrefix{token.LongTermKey, token.TemporaryKey, token.BearerToken} {
		checkIDs(t, p, `[A-Z2-7]{16}`)
	}
	for _, p := range []token.IDPrefix{token.UserID, token.RoleID, token.GroupID, token.ManagedPolicy} {
		checkIDs(t, p, `[A-Z2-7]{17}`)
	}
}

func checkIDs(t *testing.T, p token.IDPrefix, rest string) {
	t.Helper()
	form := regexp.MustCompile(`^` + string(p) + rest + `$`)
	seen, letters := map[string]bool{}, map[rune]bool{}
	for range 200 {
		id := token.NewID(p)
		if !form.MatchString(id) || seen[id] {
			t.Fatalf("NewID(%s) = %s", p, id)
		}
		seen[id] = true
		for _, r := range id[4:] {
			letters[r] = true
		}
	}
	if len(letters) != 32 {
		t.Errorf("the ids use %d of the 32 characters", len(letters))
	}
}

func FuzzOpen(f *testing.F) {
	k := newKeyring(f, at(noon))
	minted := map[string]bool{}
	for _, p := range purposes {
		for _, c := range []token.Claims{typical(), maximal(), {Expires: noon.Add(time.Second)}} {
			s := mint(f, k, p, c)
			minted[s] = true
			f.Add(uint8(p), s)
		}
	}
	f.Add(uint8(0), "")
	f.Add(uint8(3), "ghet_")
	f.Add(uint8(3), "ghet_AAAA")
	f.Fuzz(func(t *testing.T, p uint8, s string) {
		if _, err := k.Open(token.Purpose(p), s); err == nil && !minted[s] {
			t.Fatalf("a forged token: %q", s)
		}
	})
}

func BenchmarkMint(b *testing.B) {
	k, c := newKeyring(b, time.Now), typical()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Mint(token.ECR, c); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	k := newKeyring(b, at(noon))
	s := mint(b, k, token.ECR, typical())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Open(token.ECR, s); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenSession(b *testing.B) {
	k := newKeyring(b, at(noon))
	s := mint(b, k, token.Session, typical())
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := k.OpenSession(s); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAccessKeySecret(b *testing.B) {
	k := newKeyring(b, at(noon))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.AccessKeySecret(k.ActiveKeyID(), "AKIA2222333344445555"); err != nil {
			b.Fatal(err)
		}
	}
}

// A token that was issued while a clock was wrong would outlive its time.
func TestOpen_IssuedInTheFuture(t *testing.T) {
	now := noon
	ring := newKeyring(t, func() time.Time { return now })
	for _, ahead := range []time.Duration{token.MaxSkew, token.MaxSkew + time.Second, 365 * 24 * time.Hour} {
		now = noon.Add(ahead)
		claims := token.Claims{ID: "id", Account: "000000000001", PrincipalID: "AIDA2222333344445555", Issued: now, Expires: now.Add(time.Hour), Region: "us-east-1"}
		text, err := ring.Mint(token.ECR, claims)
		if err != nil {
			t.Fatal(err)
		}
		session, _, err := ring.MintSession(claims)
		if err != nil {
			t.Fatal(err)
		}
		now = noon // someone has set the clock right
		_, err = ring.Open(token.ECR, text)
		_, _, sessionErr := ring.OpenSession(session)
		if accepted := ahead <= token.MaxSkew; (err == nil) != accepted || (sessionErr == nil) != accepted {
			t.Errorf("issued %v ahead: %v, %v", ahead, err, sessionErr)
		} else if !accepted && (!fault.Is(err, "InvalidToken") || !strings.Contains(err.Error(), "future")) {
			t.Errorf("issued %v ahead: %v", ahead, err)
		}
	}
}
