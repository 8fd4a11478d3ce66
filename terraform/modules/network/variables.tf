variable "name" {
  description = "Name of the deployment."
  type        = string
}

variable "region" {
  description = "Region of the deployment."
  type        = string
}

variable "zones" {
  description = "Availability zones, at most 8."
  type        = list(string)

  validation {
    condition     = length(var.zones) >= 1 && length(var.zones) <= 8
    error_message = "One to eight zones."
  }
}

variable "cidr" {
  description = "Addresses of the network, at least a /20."
  type        = string
  default     = "10.20.0.0/16"
}

variable "egress" {
  description = "How workers reach AWS: endpoints (nothing else can be reached) or nat (everything can)."
  type        = string
  default     = "endpoints"

  validation {
    condition     = contains(["endpoints", "nat"], var.egress)
    error_message = "Egress is endpoints or nat."
  }
}

variable "more_endpoints" {
  description = "Further services that workers reach by endpoints; GPU machines need ecs, ecs-agent and ecs-telemetry."
  type        = list(string)
  default     = []
}

variable "nat_per_zone" {
  description = "A NAT gateway in each zone instead of one."
  type        = bool
  default     = false
}

variable "kms_key_arn" {
  description = "Key of the flow log."
  type        = string
}

variable "log_retention_days" {
  description = "Days for which the flow log is kept."
  type        = number
  default     = 365
}
