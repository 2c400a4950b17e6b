// Package lifecycle decides which images of a repository a lifecycle policy of Amazon ECR
// acts on (Amazon ECR User Guide, "Automate the cleanup of images by using lifecycle
// policies"). It only computes: package images reads the images and removes them.
//
// [Parse] checks the text of a policy as ECR does and returns a [Policy]. An [Evaluation]
// applies it to the images of a repository, one after the other from the youngest to the
// oldest. It keeps one counter for each rule, so it needs the same memory for ten images
// and for a million.
//
// # How rules decide
//
// A rule identifies the images that meet its requirement on tags, and marks those of them
// that are too old or too many. Each rule does so as if no other rule existed. Then the
// rule with the smallest priority number that identifies an image decides about it: the
// rule acts if it has marked the image, and otherwise the image stays. So at most one rule
// acts on an image, and a rule keeps later ones away from what it identifies.
//
// This package must not import another one of the server, except wildcard.
package lifecycle
