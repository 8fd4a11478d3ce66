output "function_arn" {
  description = "ARN of the function."
  value       = aws_lambda_function.this.arn
}

output "function_name" {
  description = "Name of the function."
  value       = aws_lambda_function.this.function_name
}

output "log_group_name" {
  description = "Name of its log group."
  value       = aws_cloudwatch_log_group.this.name
}

# the bucket can only tell whom it may call
output "permission_id" {
  description = "Known when S3 may call the function."
  value       = one(aws_lambda_permission.bucket[*].id)
}
