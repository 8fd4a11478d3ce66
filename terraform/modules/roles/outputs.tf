output "task_role_arns" {
  description = "Role of each program in a container."
  value       = { for program, role in aws_iam_role.task : program => role.arn }
}

output "execution_role_arn" {
  description = "Role of what starts containers."
  value       = aws_iam_role.execution.arn
}

output "ingest_role_arn" {
  description = "Role of the function."
  value       = aws_iam_role.ingest.arn
}

output "operator_policy_arn" {
  description = "Policy for people and services that use the pipeline from outside."
  value       = aws_iam_policy.operator.arn
}

output "policies" {
  description = "The policies of all programs, as data."
  value       = local.policies
}
