"""The messages of BuildKit's services, as far as they are used: field numbers and types."""

from __future__ import annotations

from wharfie.buildkit.schema import Messages

common = Messages(
    "common",
    """
Empty

Timestamp
  1 int64 seconds
  2 int32 nanos

Any
  1 string type_url
  2 bytes value

Status
  1 int32 code
  2 string message
  3 repeated Any details

BytesMessage
  1 bytes data

Health
  1 int32 status

Platform
  1 string architecture
  2 string os
  3 string variant

Position
  1 int32 line
  2 int32 character

Range
  1 Position start
  2 Position end

SourceInfo
  1 string filename
  2 bytes data

Definition
  1 repeated bytes steps
  2 map<string,Empty> metadata

Input
  1 string digest
  2 int64 index

Source
  1 string identifier
  2 map<string,string> attributes

Op
  1 repeated Input inputs
  3 Source source
""",
)

control = Messages(
    "control",
    """
UsageRecord
  1 string id
  2 bool mutable
  3 bool in_use
  4 int64 size
  6 Timestamp created
  7 Timestamp used
  8 int64 uses
  9 string description
  10 string type
  11 bool shared

DiskUsageRequest
  1 repeated string filter

DiskUsageResponse
  1 repeated UsageRecord record

PruneRequest
  1 repeated string filter
  2 bool all
  3 int64 keep_duration
  4 int64 keep_bytes
  5 int64 max_used
  6 int64 min_free

CacheEntry
  1 string type
  2 map<string,string> attributes

CacheOptions
  4 repeated CacheEntry exports
  5 repeated CacheEntry imports

Exporter
  1 string type
  2 map<string,string> attributes

SourcePolicy
  2 repeated Empty rules

SolveRequest
  1 string ref
  2 Definition definition
  3 string exporter
  4 map<string,string> exporter_attributes
  5 string session
  6 string frontend
  7 map<string,string> frontend_attributes
  8 CacheOptions cache
  9 repeated string entitlements
  10 map<string,Definition> frontend_inputs
  11 bool internal
  12 SourcePolicy policy
  13 repeated Exporter exporters

SolveResponse
  1 map<string,string> response

StatusRequest
  1 string ref

Vertex
  1 string digest
  2 repeated string inputs
  3 string name
  4 bool cached
  5 Timestamp started
  6 Timestamp completed
  7 string error

VertexStatus
  1 string id
  2 string vertex
  3 string name
  4 int64 current
  5 int64 total
  6 Timestamp timestamp
  7 Timestamp started
  8 Timestamp completed

VertexLog
  1 string vertex
  2 Timestamp timestamp
  3 int64 stream
  4 bytes message

VertexWarning
  1 string vertex
  2 int64 level
  3 bytes short
  4 repeated bytes detail
  5 string url
  6 SourceInfo info
  7 repeated Range ranges

StatusResponse
  1 repeated Vertex vertexes
  2 repeated VertexStatus statuses
  3 repeated VertexLog logs
  4 repeated VertexWarning warnings

Version
  1 string package
  2 string version
  3 string revision

CollectionPolicy
  1 bool all
  3 int64 reserved
  5 int64 most

Worker
  1 string id
  2 map<string,string> labels
  3 repeated Platform platforms
  4 repeated CollectionPolicy policies
  5 Version version

ListWorkersResponse
  1 repeated Worker record

InfoResponse
  1 Version version
""",
    "common",
)

gateway = Messages(
    "gateway",
    """
Capability
  1 string id
  2 bool enabled

PongResponse
  1 repeated Capability frontend
  2 repeated Capability steps
  3 repeated Worker workers

BridgeSolveRequest
  1 Definition definition
  2 string frontend
  3 map<string,string> options
  12 repeated CacheEntry imports
  13 map<string,Definition> inputs
  14 bool evaluate

Ref
  1 string id
  2 Definition definition

Refs
  1 map<string,Ref> refs

Result
  1 string old_ref
  3 Ref ref
  4 Refs refs
  10 map<string,bytes> metadata

BridgeSolveResponse
  1 string ref
  3 Result result

ReturnRequest
  1 Result result
  2 Status error

EvaluateRequest
  1 string ref

InputsResponse
  1 map<string,Definition> definitions

WarnRequest
  1 string digest
  2 int64 level
  3 bytes short
  4 repeated bytes detail
  5 string url
  6 SourceInfo info
  7 repeated Range ranges
""",
    "common",
    "control",
)

session = Messages(
    "session",
    """
Stat
  1 bytes path
  2 uint32 mode
  3 uint32 uid
  4 uint32 gid
  5 int64 size
  6 int64 modified
  7 bytes link
  8 int64 major
  9 int64 minor
  10 map<string,bytes> attributes

Packet
  1 int32 type
  2 Stat stat
  3 uint32 id
  4 bytes data

SecretRequest
  1 string id

SecretResponse
  1 bytes data

AgentRequest
  1 string id

WriteRequest
  1 int32 action
  2 string ref
  3 int64 total
  4 string expected
  5 int64 offset
  6 bytes data

WriteResponse
  1 int32 action
  4 int64 offset

ReadRequest
  1 string digest
  2 int64 offset
  3 int64 size

ReadResponse
  1 int64 offset
  2 bytes data

CredentialsRequest
  1 string host

CredentialsResponse
  1 string username
  2 string secret
""",
    "common",
)
