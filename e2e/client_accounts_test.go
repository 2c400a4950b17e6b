package e2e

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
)

// policy returns a policy that can be recognised by its Sid.
func policy(sid, about string) string {
	return `{"Version":"2012-10-17","Statement":[{"Sid":"` + sid + `","Effect":"Allow","Action":"ecr:BatchGetImage",` + about + `}]}`
}

// changeAccounts changes users, container repositories and package repositories.
func (c *client) changeAccounts() error {
	switch c.rand.IntN(5) {
	case 0:
		return c.changeRepository()
	case 1:
		return c.changeLibrary()
	}
	return c.changeUser()
}

func (c *client) changeUser() error {
	name, api := c.next(), iam.NewFromConfig(c.aws)
	err := c.write(change{"user/" + name: present}, func() error {
		_, err := api.CreateUser(c.ctx, &iam.CreateUserInput{UserName: &name})
		return err
	})
	if err != nil {
		return err
	}
	if c.chance(3) {
		return c.write(change{"user/" + name: ""}, func() error {
			_, err := api.DeleteUser(c.ctx, &iam.DeleteUserInput{UserName: &name})
			return err
		})
	}
	document := policy(strings.ReplaceAll(name, "-", "x"), `"Resource":"*"`)
	err = c.write(change{"user-policy/" + name: document}, func() error {
		_, err := api.PutUserPolicy(c.ctx, &iam.PutUserPolicyInput{UserName: &name, PolicyName: aws.String("p"), PolicyDocument: &document})
		return err
	})
	if err != nil || !c.chance(3) {
		return err
	}
	key, err := api.CreateAccessKey(c.ctx, &iam.CreateAccessKeyInput{UserName: &name})
	if err != nil {
		return err
	}
	c.ledger.begin(change{"key/" + *key.AccessKey.AccessKeyId + "/" + *key.AccessKey.SecretAccessKey: name})()
	return nil
}

func (c *client) changeRepository() error {
	name, api := c.next(), ecr.NewFromConfig(c.aws)
	err := c.write(change{"repository/" + name: present}, func() error {
		_, err := api.CreateRepository(c.ctx, &ecr.CreateRepositoryInput{RepositoryName: &name})
		return err
	})
	if err != nil {
		return err
	}
	if c.chance(3) {
		return c.write(change{"repository/" + name: ""}, func() error {
			_, err := api.DeleteRepository(c.ctx, &ecr.DeleteRepositoryInput{RepositoryName: &name})
			return err
		})
	}
	document := policy(strings.ReplaceAll(name, "-", "x"), `"Principal":"*"`)
	return c.write(change{"repository-policy/" + name: document}, func() error {
		_, err := api.SetRepositoryPolicy(c.ctx, &ecr.SetRepositoryPolicyInput{RepositoryName: &name, PolicyText: &document})
		return err
	})
}

func (c *client) changeLibrary() error {
	name, api := c.next(), codeartifact.NewFromConfig(c.aws)
	err := c.write(change{"library/" + name: present}, func() error {
		_, err := api.CreateRepository(c.ctx, &codeartifact.CreateRepositoryInput{Domain: aws.String(domain), Repository: &name})
		return err
	})
	if err != nil || c.chance(2) {
		return err
	}
	return c.write(change{"library/" + name: ""}, func() error {
		_, err := api.DeleteRepository(c.ctx, &codeartifact.DeleteRepositoryInput{Domain: aws.String(domain), Repository: &name})
		return err
	})
}
