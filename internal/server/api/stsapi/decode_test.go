package stsapi_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	iamapi "github.com/aws/aws-sdk-go-v2/service/iam"
	api "github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
)

// encoded takes the encoded message out of a denial.
func encoded(t *testing.T, err error) string {
	t.Helper()
	_, message, ok := strings.Cut(fmt.Sprint(err), ". Encoded authorization failure message: ")
	if !ok || code(err) != "AccessDenied" {
		t.Fatalf("%v carries no message", err)
	}
	return message
}

func TestDecodeAuthorizationMessage(t *testing.T) {
	f := federate(t)
	key := func(name, document string) (as func(*api.Options), asIAM func(*iamapi.Options)) {
		ctx := f.AsAdmin()
		if _, err := f.IAM.CreateUser(ctx, iam.NewEntity{Name: name}); err != nil {
			t.Fatal(err)
		}
		if err := f.IAM.PutInlinePolicy(ctx, iam.KindUser, name, "limits", document); err != nil {
			t.Fatal(err)
		}
		_, k, secret, err := f.IAM.CreateAccessKey(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		return static(k.ID, secret, ""), func(o *iamapi.Options) { o.Credentials = iamtest.Static(k.ID, secret, "") }
	}
	bob, bobIAM := key("bob", `{"Version":"2012-10-17","Statement":{"Sid":"NotFromHere","Effect":"Deny","Action":"iam:*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"127.0.0.0/8"}}}}`)
	admin := static(f.Admin.AccessKeyID, f.Admin.Secret, "")
	decode := func(message string, as func(*api.Options)) (string, error) {
		out, err := f.sts.DecodeAuthorizationMessage(t.Context(), &api.DecodeAuthorizationMessageInput{EncodedMessage: &message}, as)
		if err != nil {
			return "", err
		}
		return *out.DecodedMessage, nil
	}

	_, err := f.iam.ListUsers(t.Context(), &iamapi.ListUsersInput{}, bobIAM)
	message := encoded(t, err)
	text, err := decode(message, admin)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Allowed, ExplicitDeny bool
		MatchedStatements     struct {
			Items []struct{ StatementID, Policy string }
		}
		Context struct {
			Action, Resource string
			Principal        struct{ ARN string }
			Conditions       struct {
				Items []struct {
					Key    string
					Values struct{ Items []struct{ Value string } }
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	if got.Allowed || !got.ExplicitDeny || len(got.MatchedStatements.Items) != 1 || got.MatchedStatements.Items[0].StatementID != "NotFromHere" ||
		got.MatchedStatements.Items[0].Policy != "limits" || got.Context.Action != "iam:ListUsers" || got.Context.Principal.ARN != "arn:aws:iam::"+account+":user/bob" ||
		len(got.Context.Conditions.Items) != 1 || got.Context.Conditions.Items[0].Values.Items[0].Value != "127.0.0.1" {
		t.Errorf("decoded %s", text)
	}

	if _, err := decode(message, bob); code(err) != "AccessDenied" {
		t.Errorf("bob decodes what he was denied: %v", err)
	}
	if _, err := decode(message, static(f.OtherAdmin.AccessKeyID, f.OtherAdmin.Secret, "")); code(err) != "InvalidAuthorizationMessageException" {
		t.Errorf("the other account decodes it: %v", err)
	}
	if _, err := decode(message[:len(message)-4]+"AAAA", admin); code(err) != "InvalidAuthorizationMessageException" {
		t.Errorf("a changed message: %v", err)
	}

	// A role does not tell by it whether it exists.
	if _, err := f.assumeWeb("arn:aws:iam::"+account+":role/nobody", f.token(nil)); strings.Contains(fmt.Sprint(err), "Encoded") {
		t.Error(err)
	}
	f.refused("AccessDenied", "arn:aws:iam::"+account+":role/nobody", bob)
	if _, err := f.assume("arn:aws:iam::"+account+":role/nobody", bob); strings.Contains(fmt.Sprint(err), "Encoded") {
		t.Error(err)
	}
}

// However much policies look at, the message stays within its bound.
func TestDecodeAuthorizationMessage_Bounded(t *testing.T) {
	f := federate(t)
	ctx := f.AsAdmin()
	if _, err := f.IAM.CreateUser(ctx, iam.NewEntity{Name: "bob"}); err != nil {
		t.Fatal(err)
	}
	var conditions []string
	for i := range 40 {
		key := fmt.Sprintf("tag-%d", i)
		if err := f.IAM.TagEntity(ctx, iam.KindUser, "bob", []iam.Tag{{Key: key, Value: strings.Repeat("v", 256)}}); err != nil {
			t.Fatal(err)
		}
		conditions = append(conditions, `"aws:PrincipalTag/`+key+`":"x"`)
	}
	p, err := f.IAM.CreatePolicy(ctx, iam.NewEntity{Name: "many"}, "", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{`+strings.Join(conditions, ",")+`}}}}`)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.IAM.AttachPolicy(ctx, iam.KindUser, "bob", p.ARN()); err != nil {
		t.Fatal(err)
	}
	_, k, secret, err := f.IAM.CreateAccessKey(ctx, "bob")
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.iam.ListUsers(t.Context(), &iamapi.ListUsersInput{}, func(o *iamapi.Options) { o.Credentials = iamtest.Static(k.ID, secret, "") })
	message := encoded(t, err)
	out, err := f.sts.DecodeAuthorizationMessage(t.Context(), &api.DecodeAuthorizationMessageInput{EncodedMessage: &message}, static(f.Admin.AccessKeyID, f.Admin.Secret, ""))
	if err != nil || !strings.Contains(*out.DecodedMessage, "iam:ListUsers") {
		t.Errorf("%d characters: %v", len(message), err)
	}
}
