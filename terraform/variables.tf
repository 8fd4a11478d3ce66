variable "name" {
  description = "Name of the deployment; begins all other names."
  type        = string
  default     = "segue"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,24}$", var.name))
    error_message = "A name is 2 to 25 of [a-z0-9-] and begins with a letter."
  }
}

variable "image" {
  description = "Image of the CPU programs (infra/cpu.Dockerfile), by digest or by a tag that never moves."
  type        = string
}

variable "image_architecture" {
  description = "x86_64 or arm64."
  type        = string
  default     = "x86_64"
}

variable "repository_arns" {
  description = "ECR repositories that images are pulled from."
  type        = list(string)
  default     = []
}

variable "uploads" {
  description = "How S3 tells of uploads: queue (to the chunkers' queue, no function), lambda (calls the function), queue-lambda (to a queue that the function reads in batches)."
  type        = string
  default     = "queue"

  validation {
    condition     = contains(["queue", "lambda", "queue-lambda"], var.uploads)
    error_message = "Uploads are told by queue, lambda or queue-lambda."
  }

  validation {
    condition     = var.uploads == "queue" || var.lambda != null
    error_message = "The function needs its bundle: lambda = { bundle, architecture }."
  }
}

variable "lambda" {
  description = "The function's bundle (infra/lambda/build) and what it was built for: arm64 or x86_64."
  type = object({
    bundle       = string
    architecture = optional(string, "arm64")
  })
  default = null
}

variable "cpu" {
  description = "The programs on Fargate: CPU units (1024 for each core), memory (MB), disk (GB), fewest and most tasks, and for how many waiting messages one more is started."
  type = map(object({
    cpu               = number
    memory_mb         = number
    scratch_gb        = optional(number, 50)
    spot              = optional(bool, true)
    min               = optional(number, 0)
    max               = optional(number, 1)
    messages_per_task = optional(number, 4)
  }))
  default = {
    chunker     = { cpu = 1024, memory_mb = 2048, max = 2 }
    worker      = { cpu = 4096, memory_mb = 8192, max = 8 }
    reassembler = { cpu = 2048, memory_mb = 4096, scratch_gb = 200, max = 2 }
    sweeper     = { cpu = 256, memory_mb = 512, scratch_gb = 21, min = 1 }
  }

  validation {
    condition     = length(setsubtract(keys(var.cpu), ["chunker", "worker", "reassembler", "sweeper"])) == 0
    error_message = "Programs are chunker, worker, reassembler and sweeper."
  }

  validation {
    condition     = alltrue([for program in ["chunker", "worker", "reassembler", "sweeper"] : contains(keys(var.cpu), program)])
    error_message = "Without a chunker, a worker, a reassembler and a sweeper no job ends; GPU workers take the tasks alone that need a GPU."
  }

  validation {
    condition     = try(var.cpu["sweeper"].min, 0) >= 1
    error_message = "A sweeper has to run all the time: nothing would find what stalls."
  }
}

variable "gpu" {
  description = "Workers on GPU machines (infra/cuda.Dockerfile); null for none."
  type = object({
    image             = string
    instance_types    = optional(list(string), ["g6.xlarge", "g5.xlarge", "g4dn.xlarge"])
    spot              = optional(bool, true)
    max               = optional(number, 4)
    messages_per_task = optional(number, 16)
  })
  default = null
}

variable "recipe" {
  description = "Recipe of an upload whose job nobody made beforehand; null for the programs' own default."
  type        = string
  default     = null
}

variable "allow_map" {
  description = "Map commands that recipes may run: \"none\", \"any\", or a comma-separated list of programs; null for none."
  type        = string
  default     = null
}

variable "segment_duration_s" {
  description = "Length of a segment, seconds; null for what the recipe says."
  type        = number
  default     = null
}

variable "more_lanes" {
  description = "Further queues: net (tasks that need the network), notify (callbacks and events), study (study material)."
  type        = list(string)
  default     = []

  validation {
    condition     = length(setsubtract(var.more_lanes, ["net", "notify", "study"])) == 0
    error_message = "The further lanes are net, notify and study."
  }
}

variable "input_bucket" {
  description = "Name of the input bucket; null for NAME-input-ACCOUNT."
  type        = string
  default     = null
}

variable "output_bucket" {
  description = "Name of the output bucket; null for NAME-output-ACCOUNT."
  type        = string
  default     = null
}

variable "expire_transient_after_days" {
  description = "Days after which work/ and segments/ expire."
  type        = number
  default     = 14
}

variable "expire_sources_after_days" {
  description = "Days after which sources expire; null keeps them."
  type        = number
  default     = null
}

variable "access_log_bucket" {
  description = "Bucket that takes the access logs; null for none."
  type        = string
  default     = null
}

variable "upload_origins" {
  description = "Web origins that may upload with presigned links."
  type        = list(string)
  default     = []
}

variable "force_destroy" {
  description = "Whether terraform destroy may delete media and jobs."
  type        = bool
  default     = false
}

variable "zones" {
  description = "Availability zones that workers are in, by name: the deployment stays where it is when a region grows."
  type        = list(string)
}

variable "cidr" {
  description = "Addresses of the network."
  type        = string
  default     = "10.20.0.0/16"
}

variable "egress" {
  description = "How workers reach AWS: endpoints or nat."
  type        = string
  default     = "endpoints"
}

variable "nat_per_zone" {
  description = "A NAT gateway in each zone instead of one."
  type        = bool
  default     = false
}

variable "alarm_emails" {
  description = "Who is told of alarms."
  type        = list(string)
  default     = []
}

variable "monthly_budget_usd" {
  description = "What a month may cost, US dollars; null for no budget."
  type        = number
  default     = null
}

variable "cost_tag" {
  description = "The tag that all resources carry (default_tags of the provider) and that the budget counts by."
  type        = object({ key = string, value = string })
  default     = { key = "project", value = "segue" }
}
