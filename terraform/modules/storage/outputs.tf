output "input_bucket" {
  description = "Name of the input bucket."
  value       = module.input.name
}

output "output_bucket" {
  description = "Name of the output bucket."
  value       = module.output.name
}

output "input_bucket_arn" {
  description = "ARN of the input bucket."
  value       = module.input.arn
}

output "output_bucket_arn" {
  description = "ARN of the output bucket."
  value       = module.output.arn
}

output "expire" {
  description = "Days after which objects expire, by the first part of their key."
  value       = { input = module.input.expire, output = module.output.expire }
}
