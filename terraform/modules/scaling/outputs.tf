output "steps" {
  description = "How many tasks are added for how many waiting messages."
  value       = local.steps
}
