package ecrapi

import "github.com/aws/aws-sdk-go-v2/service/ecr/types"

// ECR's API has a member that the SDK's structs lack: deleteReplication of a replication
// rule. So these structs stand in for the SDK's. They have the fields that the SDK would
// give them.

// PutReplicationConfigurationInput is the input of the operation.
type PutReplicationConfigurationInput struct {
	ReplicationConfiguration *ReplicationConfiguration
}

// PutReplicationConfigurationOutput is the output of the operation.
type PutReplicationConfigurationOutput struct {
	ReplicationConfiguration *ReplicationConfiguration
}

// DescribeRegistryOutput is the output of the operation.
type DescribeRegistryOutput struct {
	RegistryId               *string //nolint:revive,staticcheck // named as in the SDK
	ReplicationConfiguration *ReplicationConfiguration
}

// A ReplicationConfiguration has the rules of a registry.
type ReplicationConfiguration struct{ Rules []ReplicationRule }

// A ReplicationRule is a rule with its deleteReplication.
type ReplicationRule struct {
	Destinations      []types.ReplicationDestination
	RepositoryFilters []types.RepositoryFilter
	DeleteReplication *DeleteReplication
}

// DeleteReplication says whether deletions are replicated.
type DeleteReplication struct{ Enabled *bool }
