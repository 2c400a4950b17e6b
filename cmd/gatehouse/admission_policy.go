package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
)

type admissionPolicyCommand struct {
	MinAge      *int     `placeholder:"DAYS" help:"Deny versions that were published less than this many days ago. 7 if no other rule is named."`
	NoMalware   bool     `help:"Deny versions that an advisory calls malicious."`
	MaxSeverity string   `enum:",none,low,moderate,high" default:"" placeholder:"SEVERITY" help:"Deny versions with worse advisories: none, low, moderate, high."`
	License     []string `placeholder:"ID" help:"Deny versions without one of these licences, SPDX ids; with commas or again for another."`
	NoScripts   bool     `help:"Deny files that run code when they are installed."`
	Attested    bool     `help:"Deny files without an attestation, where the registry tells that."`
	NoLookAlike bool     `help:"Deny packages whose names are similar to the one of an internal package."`
	ReportOnly  bool     `help:"Deny nothing: report in the audit log and in a metric what would be denied."`
}

// Help is what --help shows below the flags.
func (admissionPolicyCommand) Help() string {
	return `It is a policy of a repository or a domain. It is about versions that came through an
external connection. Try it with --report-only first. A policy that is there already must
be joined with it by hand: a resource has one policy.

Examples:

  gatehouse admission policy --min-age 7 --no-malware >policy.json
  aws codeartifact put-repository-permissions-policy --domain acme --repository app \
      --policy-document file://policy.json
  aws codeartifact put-domain-permissions-policy --domain acme \
      --policy-document file://policy.json
  gatehouse admission policy --license MIT,Apache-2.0,ISC --no-scripts --report-only`
}

// conditions are those of a statement: operator, key and values.
type conditions map[string]map[string]any

// An admissionRule is a Deny statement of the policy. Its Sid has one name for a rule that
// denies, and another for one that only reports.
type admissionRule struct {
	denies, reports string
	when            conditions
}

// rules are the rules that the flags name.
func (c *admissionPolicyCommand) rules() ([]admissionRule, error) {
	var all []admissionRule
	add := func(wanted bool, denies, reports, operator, key string, value any) {
		if wanted {
			all = append(all, admissionRule{denies, reports, conditions{operator: {key: value}}})
		}
	}
	add(c.NoMalware, "NoMalware", "ReportMalware", "Bool", "gatehouse:Malware", "true")
	if c.MaxSeverity != "" {
		order := []string{"low", "moderate", "high", "critical"}
		for len(order) > 0 && c.MaxSeverity != "none" {
			next := order[0]
			if order = order[1:]; next == c.MaxSeverity {
				break
			}
		}
		add(true, "NoAdvisories", "ReportAdvisories", "StringEquals", "gatehouse:AdvisorySeverity", append([]string{"unknown"}, order...))
	}
	add(len(c.License) > 0, "LicensesOnly", "ReportLicenses", "ForAllValues:StringNotEquals", "gatehouse:License", c.License)
	add(c.NoScripts, "NoInstallScripts", "ReportInstallScripts", "Bool", "gatehouse:InstallScripts", "true")
	add(c.Attested, "AttestedOnly", "ReportUnattested", "Bool", "gatehouse:Attested", "false")
	add(c.NoLookAlike, "NoLookAlikes", "ReportLookAlikes", "Bool", "gatehouse:SimilarToInternal", "true")
	days := 7
	if c.MinAge != nil {
		if days = *c.MinAge; days < 1 {
			return nil, usageError{errors.New("--min-age must be at least 1")}
		}
	}
	add(c.MinAge != nil || len(all) == 0, fmt.Sprintf("NothingYoungerThan%dDays", days), fmt.Sprintf("ReportYoungerThan%dDays", days), "NumericLessThan", "gatehouse:VersionAge", strconv.Itoa(days))
	return all, nil
}

// Run prints the policy.
func (c *admissionPolicyCommand) Run(stdout io.Writer) error {
	rules, err := c.rules()
	if err != nil {
		return err
	}
	type statement struct {
		Sid       string
		Effect    string
		Principal string
		Action    []string
		Resource  string
		Condition conditions
	}
	document := struct {
		Version   string
		Statement []statement
	}{Version: "2012-10-17"}
	for _, rule := range rules {
		s := statement{rule.denies, "Deny", "*", []string{"codeartifact:ReadFromRepository", "codeartifact:GetPackageVersionAsset"}, "*", rule.when}
		set := func(operator, key, value string) {
			if s.Condition[operator] == nil {
				s.Condition[operator] = map[string]any{}
			}
			s.Condition[operator][key] = value
		}
		set("StringEquals", "gatehouse:PackageOrigin", "external")
		if c.ReportOnly {
			s.Sid = rule.reports
			set("Bool", "gatehouse:ReportOnly", "true")
		}
		document.Statement = append(document.Statement, s)
	}
	return printJSON(stdout, document)
}
